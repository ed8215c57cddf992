/**
 * Shard locks given back together. A replica that drains releases all its shards at once, each in a fiber of its
 * own; unlocked one statement at a time the last of them would come after their new owners stopped waiting.
 */
import { Deferred, Effect } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"

interface Batch {
  readonly shards: Array<number>
  readonly done: Deferred.Deferred<void, Unavailable>
}

/** `release` completes when its shard is unlocked. */
export const makeShardReleases = (
  unlock: (shards: ReadonlyArray<number>) => Effect.Effect<unknown, Unavailable>,
) => {
  let open: Batch | undefined

  const flush = (batch: Batch) =>
    Effect.sleep(limits.shardReleaseMs).pipe(
      Effect.zipRight(
        Effect.suspend(() => {
          open = undefined
          return unlock(batch.shards)
        }),
      ),
      Effect.asVoid,
      Effect.intoDeferred(batch.done),
      Effect.forkDaemon,
    )

  return (shard: number): Effect.Effect<void, Unavailable> =>
    Effect.gen(function* () {
      if (open !== undefined) {
        open.shards.push(shard)
        return open.done
      }
      const batch: Batch = { shards: [shard], done: yield* Deferred.make<void, Unavailable>() }
      open = batch
      yield* flush(batch)
      return batch.done
    }).pipe(Effect.uninterruptible, Effect.flatMap(Deferred.await))
}
