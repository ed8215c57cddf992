import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import type { Presence } from "../../src/domain/Sandbox.ts"
import { type Claim, decide } from "../../src/sandbox/Supersede.ts"

/** Sessions as our supervisors state them: instances by age, connections counted. */
const ours = fc.record({ instance: fc.nat(4), epoch: fc.integer({ min: 1, max: 6 }) }).map(
  ({ instance, epoch }): Claim => ({
    sessionId: `s-${instance}-${epoch}`,
    instanceId: `i-${instance}`,
    instanceStartedAtMs: 1_000 + instance,
    connectionEpoch: epoch,
    replica: "r/1",
  }),
)

const order = (claim: Claim) => claim.instanceStartedAtMs * 100 + claim.connectionEpoch

/** Feeds claims in arrival order and returns the presence at the end. */
const attachAll = (claims: ReadonlyArray<Claim>): Presence | undefined => {
  let current: Presence | undefined
  for (const claim of claims) {
    const verdict = decide(current, current?.retiredInstances ?? [], claim)
    if (verdict._tag !== "Accept") continue
    const retired = current?.retiredInstances ?? []
    current = {
      ...claim,
      sandboxId: "sb",
      attachedAtMs: 0,
      retiredInstances: verdict.retire === undefined ? retired : [verdict.retire, ...retired],
    }
  }
  return current
}

describe("which session is current", () => {
  it("is the highest (instance, connection epoch), in whatever order the attaches arrive", () => {
    fc.assert(
      fc.property(fc.array(ours, { minLength: 1, maxLength: 12 }), (claims) => {
        const highest = claims.reduce((best, claim) => (order(claim) > order(best) ? claim : best))
        expect(attachAll(claims)?.sessionId).toBe(highest.sessionId)
      }),
    )
  })

  it("does not change when the same attach arrives twice", () => {
    fc.assert(
      fc.property(ours, (claim) => {
        const current = attachAll([claim])
        expect(decide(current, [], claim)._tag).toBe("Same")
      }),
    )
  })

  const silent = (instanceId: string, sessionId: string): Claim => ({
    sessionId,
    instanceId,
    instanceStartedAtMs: 0,
    connectionEpoch: 0,
    replica: "r/1",
  })

  it("is the later arrival of one instance that states no order", () => {
    expect(attachAll([silent("a", "1"), silent("a", "2")])?.sessionId).toBe("2")
  })

  it("is never again an instance that another one replaced, even one that states no order", () => {
    expect(attachAll([silent("a", "1"), silent("b", "2"), silent("a", "3")])?.sessionId).toBe("2")
  })
})
