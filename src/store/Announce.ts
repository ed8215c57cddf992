/** Writes that tell every replica: the notification is part of the statement, so it goes out exactly if that commits. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Statement } from "@effect/sql/Statement"
import { Effect, Schema } from "effect"
import type { ChangeKind } from "./ChangeBus.ts"
import { Database } from "./Database.ts"
import { schemaName } from "./SchemaName.ts"

/** What travels on the channel; `k` and `id` keep it short, Postgres allows 8,000 bytes. */
export const Payload = Schema.parseJson(
  Schema.Struct({
    k: Schema.Literal("sandbox", "log", "event", "removed", "service", "config", "draft"),
    id: Schema.String,
  }),
)

const encode = Schema.encodeSync(Payload)

/** What is said on the channel of a change. */
export const announcement = (kind: ChangeKind, sandboxId: string): string =>
  encode({ k: kind, id: sandboxId })

/**
 * Runs a write that has a RETURNING clause; when it returned rows, the change is announced. The returned rows
 * are those of the write.
 */
export type Announce = (
  kind: ChangeKind,
  sandboxId: string,
  write: Statement<object>,
) => Effect.Effect<ReadonlyArray<object>, SqlError>

export const makeAnnounce: Effect.Effect<Announce, never, SqlClient.SqlClient | Database> = Effect.gen(
  function* () {
    const sql = yield* SqlClient.SqlClient
    const database = yield* Database
    const channel = schemaName(database.clusterId)
    return (kind, sandboxId, write) =>
      database.dialect === "postgres"
        ? sql<object>`WITH written AS (${write})
            SELECT written.*, pg_notify(${channel}, ${announcement(kind, sandboxId)}) FROM written`
        : Effect.tap(write, (rows) => (rows.length > 0 ? database.publish({ kind, sandboxId }) : Effect.void))
  },
)
