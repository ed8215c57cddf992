/**
 * Which sandboxes hold which providers. The truth is the spec of the sandbox; a transaction that changes it holds
 * the providers (`Providers.held`), one that changes or removes a provider writes that first: so each waits for the
 * other and then finds what it did.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Context, Effect, Layer } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { announcement } from "./Announce.ts"
import { Database } from "./Database.ts"
import { decodeRows } from "./SandboxRow.ts"
import { schemaName } from "./SchemaName.ts"
import { guard } from "./SqlErrors.ts"

export class Attachments extends Context.Tag("holdfast/Attachments")<
  Attachments,
  {
    /** The sandboxes of the workspace that hold the provider, oldest first. */
    readonly holders: (
      workspace: string,
      provider: string,
    ) => Effect.Effect<ReadonlyArray<Sandbox>, Unavailable>
    /** Tells every replica that the environment of these sandboxes is another now. */
    readonly announce: (sandboxIds: ReadonlyArray<string>) => Effect.Effect<void, Unavailable>
  }
>() {}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* Database

  // The spec is text (it may hold U+0000, which Postgres' JSON functions refuse): narrowed here, decided below.
  const holders = (workspace: string, provider: string) => {
    const pattern = `%${JSON.stringify(provider).replaceAll(/[\\%_]/g, (sign) => `\\${sign}`)}%`
    return sql`SELECT * FROM sandboxes WHERE workspace = ${workspace} AND spec LIKE ${pattern} ESCAPE ${"\\"}
      ORDER BY created_at_ms, id`.pipe(
      Effect.flatMap(decodeRows),
      Effect.map((found) => found.filter(({ spec }) => spec.providers.includes(provider))),
    )
  }

  const announce = (sandboxIds: ReadonlyArray<string>): Effect.Effect<unknown, SqlError> => {
    if (sandboxIds.length === 0) return Effect.void
    if (database.dialect === "sqlite")
      return Effect.forEach(sandboxIds, (sandboxId) => database.publish({ kind: "config", sandboxId }), {
        discard: true,
      })
    const payloads = sandboxIds.map((id) => announcement("config", id))
    return sql`SELECT pg_notify(${schemaName(database.clusterId)}, payload)
      FROM unnest(${payloads}::text[]) AS payload`
  }

  return Attachments.of({
    holders: (workspace, provider) => holders(workspace, provider).pipe(guard("provider holders")),
    announce: (sandboxIds) => announce(sandboxIds).pipe(Effect.asVoid, guard("provider announce")),
  })
})

export const layer: Layer.Layer<Attachments, never, SqlClient.SqlClient | Database> = Layer.effect(
  Attachments,
  make,
)
