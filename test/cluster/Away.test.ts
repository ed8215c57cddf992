import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, TestClock } from "effect"
import { untilAway } from "../../src/cluster/Away.ts"
import { databaseAwayText } from "../../src/domain/Errors.ts"
import { limits } from "../../src/domain/Limits.ts"

const stepMs = limits.awayLookMs / 2

/** Runs it for that long; how it ended, if it did, and when. */
const ended = (proofAgeMs: () => number, withinMs: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(
      Effect.zip(Effect.flip(untilAway({ proofAgeMs })), Clock.currentTimeMillis),
    )
    for (let passedMs = 0; passedMs < withinMs; passedMs += stepMs) yield* TestClock.adjust(stepMs)
    const exit = yield* fiber.poll
    yield* Fiber.interrupt(fiber)
    return exit._tag === "Some" && exit.value._tag === "Success" ? exit.value.value : undefined
  })

describe("a caller of a replica whose database is away", () => {
  it.effect("learns it before the fence, in time to try elsewhere", () =>
    Effect.gen(function* () {
      const startedAtMs = yield* Clock.currentTimeMillis
      let nowMs = 0
      const proofAgeMs = () => {
        nowMs += limits.awayLookMs
        return nowMs
      }
      const [error, endedAtMs] = (yield* ended(proofAgeMs, limits.fenceMs)) ?? []
      expect(error).toMatchObject({ _tag: "Unavailable", message: databaseAwayText })
      expect((endedAtMs ?? Number.POSITIVE_INFINITY) - startedAtMs).toBeLessThan(1_000)
    }),
  )

  it.effect("has the time of an open from memory when it is known already", () =>
    Effect.gen(function* () {
      const startedAtMs = yield* Clock.currentTimeMillis
      const [, endedAtMs] = (yield* ended(() => limits.fenceMs, 1_000)) ?? []
      expect((endedAtMs ?? 0) - startedAtMs).toBeGreaterThanOrEqual(limits.awayWaitMs)
      expect((endedAtMs ?? 0) - startedAtMs).toBeLessThan(limits.awayWaitMs + 2 * limits.awayLookMs)
    }),
  )

  it.effect("is held as long as the locks are proven: somebody else is away", () =>
    Effect.gen(function* () {
      expect(yield* ended(() => limits.lockKeepaliveMs, limits.sessionWaitMs)).toBeUndefined()
    }),
  )

  it.effect("is not refused for one look: the answer may wait behind a stall of this process", () =>
    Effect.gen(function* () {
      let looks = 0
      const proofAgeMs = () => {
        looks += 1
        return looks % 2 === 0 ? 2 * limits.awayProofMs : 0
      }
      expect(yield* ended(proofAgeMs, limits.sessionWaitMs)).toBeUndefined()
    }),
  )
})
