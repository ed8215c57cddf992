import { mkdtemp, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { ensureJwtKeys } from "../../src/auth/JwtKeys.ts"
import { SandboxTokens, layer as tokens } from "../../src/auth/SandboxTokens.ts"

describe("JwtKeys", () => {
  let directory = ""
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "holdfast-jwt-"))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it("makes the keys with which the gateway signs sandbox tokens, once", async () => {
    const keys = path.join(directory, "jwt")
    const { kid } = await Effect.runPromise(ensureJwtKeys(keys))
    expect(kid).toMatch(/^[0-9a-f]{32}$/)
    expect(await Effect.runPromise(ensureJwtKeys(keys))).toEqual({ kid })
    expect((await stat(path.join(keys, "signing.pem"))).mode & 0o777).toBe(0o600)
    const sandboxId = await Effect.runPromise(
      Effect.gen(function* () {
        const service = yield* SandboxTokens
        const { token } = yield* service.mint("3f6d1a3e-8c1e-4d52-9c57-52f7d6a2b0aa")
        return yield* service.verify(Redacted.value(token))
      }).pipe(Effect.provide(tokens({ directory: keys, gatewayId: "openshell", ttlMs: 0 }))),
    )
    expect(sandboxId).toBe("3f6d1a3e-8c1e-4d52-9c57-52f7d6a2b0aa")
  })
})
