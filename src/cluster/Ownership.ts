/** Which shards this replica owns, under which epoch, and whether it may still act as their owner. */
import { Context, Effect } from "effect"
import { StaleEpoch } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"

/** The part of RunnerStorage that actors see: proof of ownership, answered from memory. */
export class Ownership extends Context.Tag("holdfast/Ownership")<
  Ownership,
  {
    /**
     * The epoch under which this replica may act for a shard now.
     * Fails when the shard is not held, or when the lock session has not been proven within the fence.
     */
    readonly fence: (shard: number) => Effect.Effect<Fence, StaleEpoch>
    /** Shards held now, for status. */
    readonly held: Effect.Effect<ReadonlyMap<number, number>>
    /** Milliseconds since the lock session was last proven (monotonic clock). */
    readonly proofAgeMs: () => number
  }
>() {}

export const makeFenceCheck =
  (epochs: ReadonlyMap<number, number>, isFenced: () => boolean) =>
  (shard: number): Effect.Effect<Fence, StaleEpoch> =>
    Effect.suspend(() => {
      const epoch = epochs.get(shard)
      if (epoch !== undefined && !isFenced()) return Effect.succeed({ shard, epoch })
      return Effect.fail(
        new StaleEpoch({
          message:
            epoch === undefined
              ? `this replica does not own shard ${shard}`
              : `this replica could not prove its ownership of shard ${shard} in time`,
          shard,
          epoch: epoch ?? 0,
          seen: 0,
        }),
      )
    })
