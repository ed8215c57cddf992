import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { SandboxPhase } from "../../src/domain/Sandbox.ts"
import { Presences } from "../../src/store/Presences.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { Sweeps } from "../../src/store/Sweeps.ts"
import { aPresence, aSandbox, dialects, owned, storeKit } from "../kit/Stores.ts"

const sandbox = (id: string, phase: SandboxPhase, createdAtMs = 10) => {
  const made = aSandbox({ id, createdAtMs })
  return { ...made, status: { ...made.status, phase } }
}

describe.each(dialects)("sweeps on %s", (dialect) => {
  const kit = storeKit(dialect)

  const populated = Effect.gen(function* () {
    const presences = yield* Presences
    const sandboxes = yield* Sandboxes
    const fence = yield* owned
    yield* sandboxes.insert(sandbox("a1", "Ready"))
    yield* sandboxes.insert(sandbox("a2", "Ready"))
    yield* sandboxes.insert(sandbox("a3", "Provisioning"))
    yield* sandboxes.insert(sandbox("b1", "Ready"))
    yield* sandboxes.insert(sandbox("n1", "Starting"))
    yield* sandboxes.insert(sandbox("n2", "Ready", 99))
    yield* sandboxes.insert(sandbox("n3", "Error"))
    yield* sandboxes.insert(sandbox("s1", "Stopping"))
    yield* sandboxes.insert(sandbox("d1", "Deleting", 99))
    yield* presences.put(aPresence("a1", { replica: "a" }), fence)
    yield* presences.put(aPresence("a2", { replica: "a", lostAtMs: 9 }), fence)
    yield* presences.put(aPresence("a3", { replica: "a", lostAtMs: 9 }), fence)
    yield* presences.put(aPresence("b1", { replica: "b" }), fence)
    return yield* Sweeps
  })

  it("find replicas that hold sessions and are not among the live ones", () =>
    kit.run(
      Effect.gen(function* () {
        const sweeps = yield* populated
        expect(yield* sweeps.holdersBeyond(["a", "b"])).toEqual([])
        expect(yield* sweeps.holdersBeyond(["a"])).toEqual(["b"])
        expect(yield* sweeps.holdersBeyond([])).toEqual(["a", "b"])
      }),
    ))

  it("find Ready sandboxes whose session is lost or held by a replica that is gone", () =>
    kit.run(
      Effect.gen(function* () {
        const sweeps = yield* populated
        expect(yield* sweeps.lostSessions([])).toEqual(["a2"])
        expect(yield* sweeps.lostSessions(["b"])).toEqual(["a2", "b1"])
      }),
    ))

  it("find sandboxes whose lost session was with a replica that is live, also after their grace period", () =>
    kit.run(
      Effect.gen(function* () {
        const sweeps = yield* populated
        expect(yield* sweeps.returned(["a", "b"])).toEqual(["a2", "a3"])
        expect(yield* sweeps.returned(["b"])).toEqual([])
      }),
    ))

  it("find sandboxes that should run without a session, and unfinished ones, of some age", () =>
    kit.run(
      Effect.gen(function* () {
        const sweeps = yield* populated
        expect(yield* sweeps.silent(["a", "b"], 50)).toEqual(["a2", "a3", "n1"])
        expect(yield* sweeps.silent(["a"], 100)).toEqual(["a2", "a3", "b1", "n1", "n2"])
        expect(yield* sweeps.silent([], 11)).toEqual(["a1", "a2", "a3", "b1", "n1"])
        expect(yield* sweeps.unfinished(50)).toEqual(["s1"])
        expect(yield* sweeps.unfinished(100)).toEqual(["d1", "s1"])
      }),
    ))
})
