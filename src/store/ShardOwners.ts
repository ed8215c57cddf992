/** Who owns which shard, as the database records it: for status only; owners know it from their locks. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Schema } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { guard } from "./SqlErrors.ts"

const Rows = Schema.Array(Schema.Struct({ owner: Schema.String, shards: Schema.Number }))

export class ShardOwners extends Context.Tag("holdfast/ShardOwners")<
  ShardOwners,
  {
    /** Shards by the incarnation that took them last. */
    readonly countByOwner: Effect.Effect<ReadonlyMap<string, number>, Unavailable>
  }
>() {
  static layer = Layer.effect(
    ShardOwners,
    Effect.map(SqlClient.SqlClient, (sql) => ({
      countByOwner: sql`SELECT owner, count(*) AS shards FROM cluster_shards GROUP BY owner`.pipe(
        Effect.flatMap(Schema.decodeUnknown(Rows)),
        Effect.map((rows) => new Map(rows.map((row) => [row.owner, row.shards]))),
        guard("shard owners"),
      ),
    })),
  )
}
