/**
 * Attaches of this replica, a few at a time. After the loss of a replica thousands of supervisors arrive at once:
 * their hellos wait here in order, and one that would wait longer than a supervisor waits is told when to come
 * back, so that no work is done for an answer that nobody reads.
 */
import { Data, Effect } from "effect"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"

/** Too many hellos wait. `delayMs`: when the supervisor should try again. */
export class AttachesQueued extends Data.TaggedError("AttachesQueued")<{ readonly delayMs: number }> {}

/** Weight of the newest attach in the average: about the last twenty count. */
const weight = 0.05

export const makeAttachPacer = Effect.gen(function* () {
  const permits = yield* Effect.makeSemaphore(limits.attachConcurrency)
  let waiting = 0
  let busySinceMs = 0
  /** Time from one finished attach to the next while there is a queue. */
  let perAttachMs = 1

  const finished = Effect.map(monotonicMs, (nowMs) => {
    if (waiting > limits.attachConcurrency && busySinceMs > 0)
      perAttachMs += weight * (nowMs - busySinceMs - perAttachMs)
    busySinceMs = nowMs
  })

  return {
    waiting: () => waiting,
    /** Runs the attach when its turn comes. */
    pace: <A, E, R>(attach: Effect.Effect<A, E, R>): Effect.Effect<A, E | AttachesQueued, R> =>
      Effect.suspend((): Effect.Effect<A, E | AttachesQueued, R> => {
        const expectedMs = waiting * perAttachMs
        if (expectedMs > limits.attachQueueMs || waiting >= limits.attachQueue)
          return Effect.fail(new AttachesQueued({ delayMs: Math.ceil(expectedMs) }))
        waiting += 1
        return permits
          .withPermits(1)(Effect.zipLeft(attach, finished))
          .pipe(
            Effect.ensuring(
              Effect.sync(() => {
                waiting -= 1
              }),
            ),
          )
      }),
  } as const
})
