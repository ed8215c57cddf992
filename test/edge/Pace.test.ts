import { describe, expect, it } from "@effect/vitest"
import fc from "fast-check"
import { limits } from "../../src/domain/Limits.ts"
import { Pace } from "../../src/edge/Pace.ts"

const seconds = 1_000

describe("the pace of a drain", () => {
  it("tells everyone by its end, and at no time more than an even spread and one", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20_000 }),
        fc.integer({ min: 1, max: 60 * seconds }),
        fc.array(fc.integer({ min: 0, max: 100 }), { maxLength: 200 }),
        (total, spreadMs, steps) => {
          const pace = new Pace(total, 5, 5 + spreadMs)
          const perMs = Math.max(total / spreadMs, limits.drainLeastPerSecond / seconds)
          let nowMs = 5
          let told = 0
          for (const step of [...steps, spreadMs]) {
            nowMs += step
            const due = pace.due(nowMs)
            pace.told(due)
            told += due
            expect(told).toBeLessThanOrEqual((nowMs - 5) * perMs + 1)
          }
          expect(told).toBeGreaterThanOrEqual(total)
        },
      ),
    )
  })

  it("does not spread a few over the whole time", () => {
    const pace = new Pace(3, 0, 60 * seconds)
    expect(pace.due(seconds)).toBe(limits.drainLeastPerSecond + 1)
  })

  it("lets nobody be told twice", () => {
    const pace = new Pace(1_000, 0, 10 * seconds)
    pace.told(pace.due(seconds))
    expect(pace.due(seconds)).toBe(0)
  })
})
