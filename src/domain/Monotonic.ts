/** Time for deadlines within one process. */
import { Clock, Effect } from "effect"

/**
 * Milliseconds of a clock that never goes back and that nobody sets; its zero means nothing.
 * Read from Effect's Clock, so that whoever provides that one rules deadlines as well as sleeps.
 */
export const monotonicMs: Effect.Effect<number> = Effect.map(
  Clock.currentTimeNanos,
  (nanos) => Number(nanos / 1_000n) / 1_000,
)
