/** Proof of ownership that every write of an actor and every message to an edge carries. */
import { Schema } from "effect"

export const Fence = Schema.Struct({
  shard: Schema.Number,
  /** Incremented in the database each time the shard changes hands. */
  epoch: Schema.Number,
})
export type Fence = typeof Fence.Type

/**
 * Remembers the highest epoch seen per shard and refuses lower ones.
 * Bounded by the number of shards.
 */
export class EpochGate {
  readonly #highest = new Map<number, number>()
  #refused = 0

  /** True when the message may act; false when a later owner has already spoken. */
  admit(fence: Fence): boolean {
    const seen = this.#highest.get(fence.shard) ?? 0
    if (fence.epoch < seen) {
      this.#refused += 1
      return false
    }
    this.#highest.set(fence.shard, fence.epoch)
    return true
  }

  seen(shard: number): number {
    return this.#highest.get(shard) ?? 0
  }

  get refused(): number {
    return this.#refused
  }
}
