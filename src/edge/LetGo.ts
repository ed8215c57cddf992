import { Duration, Effect } from "effect"
import { limits } from "../domain/Limits.ts"
import type { Session } from "./Session.ts"

/**
 * Ends a session in order: from now on nothing is asked of it, and what is opening on it may still be claimed
 * before its stream ends. Relays that run on its connection go on.
 */
export const letGo = (session: Session, isOpening: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    session.retire()
    if (!isOpening()) return Effect.void
    return Effect.repeat(Effect.sleep(limits.sessionRetryMs), { while: isOpening }).pipe(
      Effect.timeout(Duration.millis(limits.sessionSettleMs)),
      Effect.ignore,
    )
  }).pipe(Effect.zipRight(Effect.sync(() => session.end())))
