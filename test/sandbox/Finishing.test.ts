import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, TestClock } from "effect"
import { finishing } from "../../src/sandbox/Finishing.ts"

const graceMs = 1_000

it.effect("passes results and errors of the step on", () =>
  Effect.gen(function* () {
    expect(yield* finishing(graceMs)(Effect.succeed(1))).toBe(1)
    expect(yield* Effect.flip(finishing(graceMs)(Effect.fail("no")))).toBe("no")
  }),
)

it.effect("an interruption waits for a step that ends in time", () =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    let ended = false
    const step = Deferred.succeed(begun, undefined).pipe(
      Effect.zipRight(Effect.sleep(graceMs / 2)),
      Effect.zipRight(
        Effect.sync(() => {
          ended = true
        }),
      ),
    )
    const fiber = yield* Effect.fork(finishing(graceMs)(step))
    yield* Deferred.await(begun)
    const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
    yield* TestClock.adjust(graceMs / 4)
    expect(interrupting.unsafePoll()).toBeNull()
    yield* TestClock.adjust(graceMs / 4)
    expect(Exit.isInterrupted(yield* Fiber.join(interrupting))).toBe(true)
    expect(ended).toBe(true)
  }),
)

it.effect("an interruption breaks off a step that takes longer", () =>
  Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const brokenOff = yield* Deferred.make<void>()
    const step = Deferred.succeed(begun, undefined).pipe(
      Effect.zipRight(Effect.never),
      Effect.onInterrupt(() => Deferred.succeed(brokenOff, undefined)),
    )
    const fiber = yield* Effect.fork(finishing(graceMs)(step))
    yield* Deferred.await(begun)
    const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
    yield* TestClock.adjust(graceMs)
    yield* Fiber.join(interrupting)
    expect(yield* Deferred.isDone(brokenOff)).toBe(true)
  }),
)
