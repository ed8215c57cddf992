/**
 * Fencing in SQL. A write carries the epoch under which its author owns the shard, and the same statement checks
 * it. On Postgres the check locks the shard's row against a change of epoch until the write commits: of a takeover
 * and a stale write, one waits for the other, and a stale write that waited finds the new epoch and does nothing.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import { Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { StaleEpoch } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"

type Sql = SqlClient.SqlClient

/** A condition for a WHERE: true without a fence, else true while the fence's epoch is the shard's. */
export const fenceHolds = (sql: Sql, fence: Fence | undefined): Fragment => {
  if (fence === undefined) return sql`1 = 1`
  return sql.onDialectOrElse({
    pg: () =>
      sql`EXISTS (SELECT 1 FROM cluster_shards WHERE shard_id = ${fence.shard} AND epoch = ${fence.epoch} FOR SHARE)`,
    orElse: () =>
      sql`EXISTS (SELECT 1 FROM cluster_shards WHERE shard_id = ${fence.shard} AND epoch = ${fence.epoch})`,
  })
}

const Epochs = Schema.Array(Schema.Struct({ epoch: Schema.Number }))

/**
 * Why a fenced statement changed nothing: fails when the fence is stale, succeeds when it is not. Epochs only
 * grow, so a fence that was stale for the statement is stale for this look as well.
 */
export const refuseStale = (
  sql: Sql,
  fence: Fence | undefined,
): Effect.Effect<void, StaleEpoch | SqlError | ParseError> =>
  fence === undefined
    ? Effect.void
    : Effect.gen(function* () {
        const rows = yield* sql`SELECT epoch FROM cluster_shards WHERE shard_id = ${fence.shard}`.pipe(
          Effect.flatMap(Schema.decodeUnknown(Epochs)),
        )
        const seen = rows[0]?.epoch ?? 0
        if (seen !== fence.epoch)
          yield* new StaleEpoch({
            message: `epoch ${fence.epoch} of shard ${fence.shard} is over (current epoch: ${seen})`,
            ...fence,
            seen,
          })
      })
