import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import fc from "fast-check"
import { Turns } from "../../src/domain/Turns.ts"

const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("turns", () => {
  it.effect("let so many work at once, in the order of asking", () =>
    Effect.gen(function* () {
      const turns = new Turns(2)
      const began: Array<number> = []
      const ends = yield* Effect.forEach([0, 1, 2, 3], () => Deferred.make<void>())
      const fibers = yield* Effect.forEach(ends, (end, at) =>
        Effect.fork(
          turns.take(
            Effect.zipRight(
              Effect.sync(() => began.push(at)),
              Deferred.await(end),
            ),
          ),
        ),
      )
      for (const [at, end] of ends.entries()) {
        yield* settled
        expect(began).toEqual([0, 1, 2, 3].slice(0, at + 2))
        yield* Deferred.succeed(end, undefined)
      }
      yield* Fiber.joinAll(fibers)
    }),
  )

  it.live("lose no turn, whoever fails or is interrupted and whenever", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 3 }),
          fc.array(fc.constantFrom("ends", "fails", "interrupted", "interrupted late"), { maxLength: 20 }),
          (atOnce, acts) =>
            Effect.gen(function* () {
              const turns = new Turns(atOnce)
              let working = 0
              const work = Effect.acquireUseRelease(
                Effect.sync(() => {
                  working += 1
                  expect(working).toBeLessThanOrEqual(atOnce)
                }),
                () => settled,
                () =>
                  Effect.sync(() => {
                    working -= 1
                  }),
              )
              const fibers = yield* Effect.forEach(acts, (act) =>
                Effect.gen(function* () {
                  const fiber = yield* Effect.fork(
                    turns.take(act === "fails" ? Effect.zipRight(work, Effect.fail("failed")) : work),
                  )
                  if (act === "interrupted late") yield* settled
                  if (act.startsWith("interrupted")) yield* Fiber.interruptFork(fiber)
                  return fiber
                }),
              )
              yield* Effect.forEach(fibers, Fiber.await)
              // All turns are there again.
              yield* Effect.all(
                Array.from({ length: atOnce }, () => turns.take(settled)),
                { concurrency: "unbounded" },
              ).pipe(Effect.timeout("2 seconds"))
              expect(working).toBe(0)
            }).pipe(Effect.runPromise),
        ),
        { numRuns: 60 },
      ),
    ),
  )
})
