import { describe, expect, it } from "@effect/vitest"
import { isIsolated } from "../../src/edge/Isolation.ts"

describe("a replica without proof of its locks", () => {
  it("is cut off when none of the others answers", () => {
    expect(isIsolated({ others: 2, answering: 0 })).toBe(true)
  })

  it("is not while another answers: then it is the database that is away", () => {
    expect(isIsolated({ others: 2, answering: 1 })).toBe(false)
  })

  it("is not when there are no others to go to", () => {
    expect(isIsolated({ others: 0, answering: 0 })).toBe(false)
  })
})
