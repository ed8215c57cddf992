/** A process lock on something with a long name, such as a directory. */
import { createHash } from "node:crypto"
import type { Effect, Scope } from "effect"
import * as ProcessLock from "../domain/ProcessLock.ts"

/**
 * Holds the lock of `kind` on `key` until the scope closes; fails at once when it is taken. The names of
 * process locks are short, so the key goes in as its hash.
 */
export const hold = (kind: string, key: string): Effect.Effect<void, ProcessLock.LockHeld, Scope.Scope> =>
  ProcessLock.acquire(`holdfast/${kind}/${createHash("sha256").update(key).digest("hex").slice(0, 32)}`)
