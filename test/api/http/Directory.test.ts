import { Option } from "effect"
import { describe, expect, it } from "vitest"
import { KnownEndpoints } from "../../../src/api/http/Directory.ts"
import { limits } from "../../../src/domain/Limits.ts"

const endpoint = (sandboxId: string) =>
  Option.some({
    id: sandboxId,
    workspace: "w",
    sandboxId,
    sandboxName: "s",
    serviceName: "",
    targetPort: 80,
    createdAtMs: 0,
    resourceVersion: 1,
  })

describe("what is known of endpoints", () => {
  it("is forgotten when the sandbox changes what it exposes, or goes; so is what did not exist", () => {
    for (const kind of ["service", "removed"] as const) {
      const known = new KnownEndpoints()
      known.learn("a", endpoint("1"), known.changes)
      known.learn("b", endpoint("2"), known.changes)
      known.learn("c", Option.none(), known.changes)
      known.apply({ kind, sandboxId: "1" })
      expect([known.find("a"), known.find("c")]).toEqual([undefined, undefined])
      expect(known.find("b")).toEqual(endpoint("2"))
      known.apply({ kind: "resync" })
      expect(known.size).toBe(0)
    }
  })

  it("survives what happens to sandboxes otherwise", () => {
    const known = new KnownEndpoints()
    known.learn("a", endpoint("1"), known.changes)
    for (const kind of ["sandbox", "log", "event"] as const) known.apply({ kind, sandboxId: "1" })
    expect(known.find("a")).toEqual(endpoint("1"))
  })

  it("is no answer that a change has overtaken", () => {
    const known = new KnownEndpoints()
    const since = known.changes
    known.apply({ kind: "service", sandboxId: "1" })
    known.learn("a", Option.none(), since)
    expect(known.find("a")).toBeUndefined()
  })

  it("has a bound, and the oldest goes first", () => {
    const known = new KnownEndpoints()
    for (let count = 0; count <= limits.serviceEndpointsKnown; count++)
      known.learn(String(count), Option.none(), known.changes)
    expect(known.size).toBe(limits.serviceEndpointsKnown)
    expect(known.find("0")).toBeUndefined()
    expect(known.find("1")).toEqual(Option.none())
  })
})
