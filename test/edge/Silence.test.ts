import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Silence } from "../../src/edge/Silence.ts"

const long = limits.peerSilentMs

describe("a replica that does not answer", () => {
  it("is silent for long once its first unanswered call is that old", () => {
    const silence = new Silence()
    expect(silence.missed("a", 0, 1_000)).toBe(false)
    expect(silence.missed("a", 2_000, long - 1)).toBe(false)
    expect(silence.missed("a", 2_000, long)).toBe(true)
  })

  it("counts anew after that, and after any answer", () => {
    const silence = new Silence()
    expect(silence.missed("a", 0, long)).toBe(true)
    expect(silence.missed("a", long, long + 1_000)).toBe(false)
    silence.heard("a")
    expect(silence.missed("a", 2 * long, 2 * long + 1_000)).toBe(false)
  })

  it("says nothing of others, and is forgotten with its membership", () => {
    const silence = new Silence()
    expect(silence.missed("a", 0, 1_000)).toBe(false)
    expect(silence.missed("b", long, long + 1)).toBe(false)
    silence.keep(new Set(["b"]))
    expect(silence.missed("a", long, long + 1)).toBe(false)
  })
})
