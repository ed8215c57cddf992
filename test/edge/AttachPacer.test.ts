import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import { makeAttachPacer } from "../../src/edge/AttachPacer.ts"

describe("the pacing of attaches", () => {
  it.effect("runs a bounded number at once, and all of them in the end", () =>
    Effect.gen(function* () {
      const pacer = yield* makeAttachPacer
      let running = 0
      let most = 0
      const attach = Effect.gen(function* () {
        running += 1
        most = Math.max(most, running)
        yield* Effect.sleep(5)
        running -= 1
        return 1
      })
      const all = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 200 }, () => pacer.pace(attach)),
          { concurrency: "unbounded" },
        ),
      )
      yield* TestClock.adjust(1_000)
      expect((yield* Fiber.join(all)).length).toBe(200)
      expect(most).toBe(limits.attachConcurrency)
      expect(pacer.waiting()).toBe(0)
    }),
  )

  it.effect("tells a supervisor when to come back instead of letting it wait for longer than it would", () =>
    Effect.gen(function* () {
      const pacer = yield* makeAttachPacer
      const slow = Effect.sleep(400)
      // 25 ms from one to the next, so that the average learns that 400 of them fill the wait.
      const first = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 350 }, () => pacer.pace(slow)),
          { concurrency: "unbounded" },
        ),
      )
      yield* TestClock.adjust(4_000)
      const late = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 2_000 }, () => Effect.either(pacer.pace(slow))),
          { concurrency: "unbounded" },
        ),
      )
      yield* TestClock.adjust(200_000)
      yield* Fiber.join(first)
      const refused = (yield* Fiber.join(late)).flatMap((outcome) =>
        outcome._tag === "Left" ? [outcome.left] : [],
      )
      expect(refused.length).toBeGreaterThan(1_000)
      for (const { delayMs } of refused) expect(delayMs).toBeGreaterThan(limits.attachQueueMs)
    }),
  )

  it.effect("gives the place of a supervisor that left to the next", () =>
    Effect.gen(function* () {
      const pacer = yield* makeAttachPacer
      const never = yield* Deferred.make<void>()
      const stuck = yield* Effect.forEach(Array.from({ length: limits.attachConcurrency + 5 }), () =>
        Effect.fork(pacer.pace(Deferred.await(never))),
      )
      yield* TestClock.adjust(1)
      const next = yield* Effect.fork(pacer.pace(Effect.succeed("mine")))
      yield* Fiber.interruptAll(stuck)
      expect(yield* Fiber.join(next)).toBe("mine")
      expect(pacer.waiting()).toBe(0)
    }),
  )
})
