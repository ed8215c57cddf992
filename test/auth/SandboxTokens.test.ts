import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, TestClock } from "effect"
import { ensureJwtKeys } from "../../src/auth/JwtKeys.ts"
import { layer, SandboxTokens } from "../../src/auth/SandboxTokens.ts"

const sandboxId = "3f6d1a3e-8c1e-4d52-9c57-52f7d6a2b0aa"

describe("SandboxTokens", () => {
  let directory = ""
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "holdfast-tokens-"))
    await Effect.runPromise(ensureJwtKeys(directory))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  const tokens = (ttlMs: number) => Effect.provide(layer({ directory, gatewayId: "openshell", ttlMs }))

  it.effect("take a token as often as it is shown, until it has expired", () =>
    Effect.gen(function* () {
      const service = yield* SandboxTokens
      const token = Redacted.value((yield* service.mint(sandboxId)).token)
      expect(yield* service.verify(token)).toBe(sandboxId)
      // Within the leeway of a minute.
      yield* TestClock.adjust("659 seconds")
      expect(yield* service.verify(token)).toBe(sandboxId)
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(service.verify(token))
      expect(error.message).toBe("invalid token: ExpiredSignature")
    }).pipe(tokens(600_000)),
  )

  it.effect("never take a known token with another signature", () =>
    Effect.gen(function* () {
      const service = yield* SandboxTokens
      const token = Redacted.value((yield* service.mint(sandboxId)).token)
      const other = Redacted.value((yield* service.mint("4a0e4b43-30b0-4a32-8a4b-0c1df9f2a0bb")).token)
      expect(yield* service.verify(token)).toBe(sandboxId)
      const [header, claims] = token.split(".")
      const forged = [header, claims, other.split(".")[2]].join(".")
      const error = yield* Effect.flip(service.verify(forged))
      expect(error.message).toBe("invalid token: InvalidSignature")
    }).pipe(tokens(0)),
  )
})
