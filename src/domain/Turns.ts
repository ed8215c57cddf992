/**
 * Lets so many work at once; the next begins when one of them is done, in the order of asking. For crowds: Effect's
 * own semaphore wakes everybody who waits whenever a permit is free, which is most of the work when thousands wait.
 */
import { Effect } from "effect"

export class Turns {
  readonly #waiting = new Set<() => void>()
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Runs the effect when its turn comes; an interruption gives the turn up. */
  readonly take = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(restore(this.#turn), Effect.ensuring(restore(effect), this.#done)),
    )

  readonly #turn = Effect.async<void>((resume) => {
    if (this.#free > 0) {
      this.#free -= 1
      return resume(Effect.void)
    }
    const begin = () => resume(Effect.void)
    this.#waiting.add(begin)
    // Its turn may have come in the same moment.
    return Effect.suspend(() => (this.#waiting.delete(begin) ? Effect.void : this.#done))
  })

  readonly #done = Effect.sync(() => {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free += 1
      return
    }
    this.#waiting.delete(next)
    next()
  })
}
