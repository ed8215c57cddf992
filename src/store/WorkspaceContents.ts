/** What keeps a workspace from being deleted. A new kind of record with a workspace adds its table here. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { FailedPrecondition, NotFound } from "../domain/Errors.ts"
import { workspaceNotFound, workspaceTerminating } from "../domain/Workspace.ts"

/** Tables with a column `workspace`, and what one row of each is called. */
const kinds: ReadonlyArray<readonly [table: string, one: string]> = [
  ["sandboxes", "sandbox"],
  ["providers", "provider"],
  ["inference_routes", "inference route"],
]

const plural = (one: string): string => (/(s|x|ch)$/.test(one) ? `${one}es` : `${one}s`)

const Counts = Schema.Array(Schema.Struct({ count: Schema.Number }))

/** Such as `2 sandboxes`, `1 provider`; empty when there is nothing. */
export const contentsOf = (
  sql: SqlClient.SqlClient,
  workspace: string,
): Effect.Effect<ReadonlyArray<string>, SqlError | ParseError> =>
  Effect.forEach(kinds, ([table, one]) =>
    sql`SELECT count(*) AS count FROM ${sql(table)} WHERE workspace = ${workspace}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Counts)),
      Effect.map(([row]) => row?.count ?? 0),
      Effect.map((count) => (count === 0 ? [] : [`${count} ${count === 1 ? one : plural(one)}`])),
    ),
  ).pipe(Effect.map((lines) => lines.flat()))

/**
 * A condition for what is put into a workspace: it exists and is not being deleted. On Postgres it holds the
 * workspace's row until the write commits, so that the deletion of it waits and then finds what came in.
 */
export const workspaceOpen = (sql: SqlClient.SqlClient, workspace: string) =>
  sql.onDialectOrElse({
    pg: () =>
      sql`EXISTS (SELECT 1 FROM workspaces WHERE name = ${workspace} AND deletion_timestamp_ms = 0 FOR KEY SHARE)`,
    orElse: () =>
      sql`EXISTS (SELECT 1 FROM workspaces WHERE name = ${workspace} AND deletion_timestamp_ms = 0)`,
  })

const Closing = Schema.Array(Schema.Struct({ deletion_timestamp_ms: Schema.Number }))

/** Why a write under `workspaceOpen` changed nothing: succeeds when it was not the workspace. */
export const refuseClosed = (
  sql: SqlClient.SqlClient,
  workspace: string,
): Effect.Effect<void, NotFound | FailedPrecondition | SqlError | ParseError> =>
  Effect.gen(function* () {
    const [found] = yield* sql`SELECT deletion_timestamp_ms FROM workspaces WHERE name = ${workspace}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Closing)),
    )
    if (found === undefined) return yield* new NotFound({ message: workspaceNotFound(workspace) })
    if (found.deletion_timestamp_ms > 0)
      return yield* new FailedPrecondition({ message: workspaceTerminating(workspace) })
  })
