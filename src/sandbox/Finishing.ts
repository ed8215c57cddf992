import { Duration, Effect, Fiber } from "effect"

/**
 * Lets `step` end by itself for up to `graceMs` after an interruption, which waits for that. A shard is handed over
 * as soon as its asks allow: most of them are simply asked again elsewhere, but a step at a driver is better finished.
 */
export const finishing =
  (graceMs: number) =>
  <A, E, R>(step: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(step)), (fiber) =>
        restore(Fiber.join(fiber)).pipe(
          Effect.onInterrupt(() =>
            Fiber.await(fiber).pipe(
              Effect.interruptible,
              Effect.timeoutOption(Duration.millis(graceMs)),
              Effect.zipRight(Fiber.interrupt(fiber)),
            ),
          ),
        ),
      ),
    )
