import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Returning } from "../../src/reconcile/Returning.ts"

describe("sessions that come back by themselves", () => {
  it("are left alone while there are fewer missing at each sweep", () => {
    const returning = new Returning()
    returning.isUnderWay(1_000, 0)
    expect(returning.isUnderWay(1_000 - limits.returningLeast, 0)).toBe(true)
    expect(returning.isUnderWay(1_000 - 3 * limits.returningLeast, 5_000)).toBe(true)
    expect(returning.isUnderWay(1_000 - 3 * limits.returningLeast - 1, 10_000)).toBe(false)
  })

  it("are looked at as soon as no more come, and when it takes too long", () => {
    const returning = new Returning()
    expect(returning.isUnderWay(500, 0)).toBe(false)
    expect(returning.isUnderWay(500, 0)).toBe(false)
    expect(returning.isUnderWay(500 - limits.returningLeast, limits.returningMs)).toBe(false)
  })

  it("are looked at when single ones are missing", () => {
    const returning = new Returning()
    returning.isUnderWay(2, 0)
    expect(returning.isUnderWay(1, 0)).toBe(false)
  })
})
