import { Effect, Option } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Presences } from "../../src/store/Presences.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { SshSessions } from "../../src/store/SshSessions.ts"
import { aPresence, aSandbox, dialects, owned, storeKit } from "../kit/Stores.ts"

describe.each(dialects)("presences on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("are replaced by the next session, with all their fields", () =>
    kit.run(
      Effect.gen(function* () {
        const presences = yield* Presences
        const fence = yield* owned
        const first = aPresence("s1", { lostAtMs: 1_700_000_000_000, retiredInstances: ["old", "older"] })
        yield* presences.put(first, fence)
        expect(yield* presences.get("s1")).toEqual(Option.some(first))
        const second = aPresence("s1", { connectionEpoch: 2 ** 40, replica: "b/2" })
        yield* presences.put(second, fence)
        expect(yield* presences.get("s1")).toEqual(Option.some(second))
        yield* presences.remove("s1", fence)
        yield* presences.remove("s1", fence)
        expect(yield* presences.get("s1")).toEqual(Option.none())
      }),
    ))

  it("are read together with their sandbox", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const presences = yield* Presences
        const sandbox = yield* sandboxes.insert(aSandbox({ id: "s1" }))
        expect(yield* presences.withSandbox("s2")).toEqual(Option.none())
        expect(yield* presences.withSandbox("s1")).toEqual(Option.some({ sandbox, presence: undefined }))
        const presence = aPresence("s1", { retiredInstances: ["i0"] })
        yield* presences.put(presence, yield* owned)
        expect(yield* presences.withSandbox("s1")).toEqual(Option.some({ sandbox, presence }))
      }),
    ))

  it("are marked lost only for the session that is current, and keep the first time", () =>
    kit.run(
      Effect.gen(function* () {
        const presences = yield* Presences
        const fence = yield* owned
        const presence = aPresence("s1")
        yield* presences.put(presence, fence)
        expect(yield* presences.markLost("s1", "another session", 5, fence)).toBe(false)
        expect(yield* presences.get("s1")).toEqual(Option.some(presence))
        expect(yield* presences.markLost("s1", presence.sessionId, 6, fence)).toBe(true)
        expect(yield* presences.markLost("s1", presence.sessionId, 7, fence)).toBe(true)
        expect(Option.getOrThrow(yield* presences.get("s1")).lostAtMs).toBe(6)
        expect(yield* presences.markLost("unknown", "x", 7, fence)).toBe(false)
      }),
    ))

  it("are set many at a time, each under its own fence and with what it makes of its sandbox", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const presences = yield* Presences
        const fence = yield* owned
        const ids = ["s1", "s2", "s3", "s4"]
        for (const id of ids) yield* sandboxes.insert(aSandbox({ id, name: id }))
        const before = yield* presences.arriving([...ids, "unknown"])
        expect([...before.keys()].sort()).toEqual(ids)
        expect(before.get("s1")).toMatchObject({ resourceVersion: 1, previous: undefined })
        const status = { ...Option.getOrThrow(yield* sandboxes.get("s3")).status, phase: "Ready" as const }
        const first = aPresence("s1")
        const set = yield* presences.putAll([
          { presence: first, fence, change: undefined },
          { presence: aPresence("s2"), fence: { ...fence, epoch: fence.epoch + 1 }, change: undefined },
          { presence: aPresence("s3"), fence, change: { status, resourceVersion: 1 } },
          { presence: aPresence("s4"), fence, change: { status, resourceVersion: 7 } },
        ])
        // SQLite leaves changes of a sandbox to its actor.
        const changed = dialect === "sqlite" ? [] : ["s3"]
        expect([...set].sort()).toEqual(["s1", ...changed])
        const after = yield* presences.arriving(ids)
        expect(after.get("s1")?.previous).toEqual(first)
        expect(after.get("s2")?.previous).toBeUndefined()
        expect(after.get("s3")).toMatchObject(
          dialect === "sqlite" ? { resourceVersion: 1 } : { resourceVersion: 2, status: { phase: "Ready" } },
        )
        expect(after.get("s4")).toMatchObject({ resourceVersion: 1, previous: undefined })
        expect((yield* presences.putAll([])).size).toBe(0)
      }),
    ))

  it("are found by the hash of their token until they are removed", () =>
    kit.run(
      Effect.gen(function* () {
        const tokens = yield* SshSessions
        yield* tokens.create({ tokenHash: "h1", sandboxId: "s", createdAtMs: 1, expiresAtMs: 99 })
        yield* tokens.create({ tokenHash: "h2", sandboxId: "s", createdAtMs: 1, expiresAtMs: 0 })
        const found = { sandboxId: "s", expiresAtMs: 99, revoked: false }
        expect(yield* tokens.find("h1")).toEqual(Option.some(found))
        expect(yield* tokens.find("h3")).toEqual(Option.none())
        expect(yield* tokens.revoke("h1")).toEqual(Option.some("s"))
        expect(yield* tokens.revoke("h1")).toEqual(Option.some("s"))
        expect(yield* tokens.revoke("h3")).toEqual(Option.none())
        expect(yield* tokens.find("h1")).toEqual(Option.some({ ...found, revoked: true }))
        expect(Option.getOrThrow(yield* tokens.find("h2")).revoked).toBe(false)
        yield* tokens.removeForSandbox("s")
        expect(yield* tokens.find("h1")).toEqual(Option.none())
        expect(yield* tokens.find("h2")).toEqual(Option.none())
      }),
    ))

  it("are reaped a token's life after their end, or when their sandbox is gone", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const tokens = yield* SshSessions
        const { id } = yield* sandboxes.insert(aSandbox())
        yield* tokens.create({ tokenHash: "ended", sandboxId: id, createdAtMs: 1, expiresAtMs: 1_000 })
        yield* tokens.create({ tokenHash: "forever", sandboxId: id, createdAtMs: 1, expiresAtMs: 0 })
        yield* tokens.create({ tokenHash: "orphan", sandboxId: "gone", createdAtMs: 1, expiresAtMs: 0 })
        expect(yield* tokens.reap(1_000 + limits.sshSessionTtlMs)).toBe(1)
        expect(yield* tokens.find("orphan")).toEqual(Option.none())
        expect(yield* tokens.reap(1_001 + limits.sshSessionTtlMs)).toBe(1)
        expect(yield* tokens.find("ended")).toEqual(Option.none())
        expect(Option.isSome(yield* tokens.find("forever"))).toBe(true)
        expect(yield* tokens.reap(2 ** 50)).toBe(0)
      }),
    ))
})
