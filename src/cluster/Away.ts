/** What a caller learns before the fence does: that the database does not answer this replica. */
import { type Context, Effect } from "effect"
import { databaseAwayText, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import type { Ownership } from "./Ownership.ts"

/**
 * Fails when there has been no proof of this replica's locks for a while, and the caller has had the time that an open
 * from memory takes. Until the fence the replica may act, so what needs no database is not refused at once. Two looks,
 * because after a stall of this process the proof may wait in the kernel. While a lost replica's shards move, the
 * database proves the others' locks, and callers are held.
 */
export const untilAway = ({
  proofAgeMs,
}: Pick<Context.Tag.Service<Ownership>, "proofAgeMs">): Effect.Effect<never, Unavailable> =>
  Effect.gen(function* () {
    const startedAtMs = yield* monotonicMs
    for (let looks = 0; ; ) {
      looks = proofAgeMs() > limits.awayProofMs ? looks + 1 : 0
      const waitedMs = (yield* monotonicMs) - startedAtMs
      if (looks >= 2 && waitedMs >= limits.awayWaitMs)
        return yield* new Unavailable({ message: databaseAwayText })
      yield* Effect.sleep(limits.awayLookMs)
    }
  })
