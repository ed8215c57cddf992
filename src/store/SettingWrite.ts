/**
 * A changed setting of one sandbox as one statement, for Postgres. Settings are what is written most, and every such
 * write counts in the gateway's one row: as a transaction of several statements it would hold up all others for
 * several round trips. The row locks come in the order in which transactions take them: sandbox, head, counter.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Clock, Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { type Conflict, concurrentModification, NotFound } from "../domain/Errors.ts"
import { announcement } from "./Announce.ts"
import { globalScope, type Head, HeadMoved, headColumns, noHead } from "./ConfigRows.ts"
import { Database } from "./Database.ts"
import { schemaName } from "./SchemaName.ts"

export interface SettingChange {
  /** The sandbox's id. */
  readonly scope: string
  readonly from: Head
  readonly to: Head
  /** The sandbox's resource version, which advances if it is still this one; 0: whichever it is. */
  readonly expectedResourceVersion: number
}

const Counter = Schema.Array(Schema.Struct({ settings_revision: Schema.Number }))

const Versions = Schema.Array(Schema.Struct({ resource_version: Schema.Number }))

/** All of it or nothing. Returns the counter of settings. */
export type WriteSetting = (
  change: SettingChange,
) => Effect.Effect<number, HeadMoved | Conflict | NotFound | SqlError | ParseError>

export const makeWriteSetting: Effect.Effect<WriteSetting, never, SqlClient.SqlClient | Database> =
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const channel = schemaName((yield* Database).clusterId)
    /** A new row of heads for each row of `source`. */
    const insertFor = (source: string, row: Record<string, string | number | null>) => {
      const columns = Object.keys(row).map((column) => sql`${sql(column)}`)
      const values = Object.values(row).map((value) => sql`${value}`)
      return sql`INSERT INTO config_heads (${sql.csv(columns)}) SELECT ${sql.csv(values)} FROM ${sql(source)}`
    }

    const statement = ({ scope, from, to, expectedResourceVersion }: SettingChange, nowMs: number) => {
      const values = headColumns({ ...to, revision: from.revision + 1 }, nowMs)
      const still =
        expectedResourceVersion === 0 ? sql`` : sql`AND resource_version = ${expectedResourceVersion}`
      // Each step reads what the one before it returned, so none is done without it. The lock of the first is on the
      // sandbox as it is after all who were first, and so is the comparison.
      return sql`WITH sandbox AS (
          SELECT id FROM sandboxes WHERE id = ${scope} ${still} FOR NO KEY UPDATE
        ), written AS (
          ${insertFor("sandbox", { scope, sandbox_id: scope, settings_revision: 0, ...values })}
          ON CONFLICT (scope) DO UPDATE SET ${sql.update(values, [])}
          WHERE config_heads.revision = ${from.revision} RETURNING scope
        ), advanced AS (
          UPDATE sandboxes SET resource_version = resource_version + 1 FROM written WHERE id = written.scope
        ), counted AS (
          ${insertFor("written", { scope: globalScope, sandbox_id: null, settings_revision: 1, ...headColumns(noHead, nowMs) })}
          ON CONFLICT (scope) DO UPDATE SET settings_revision = config_heads.settings_revision + 1
          RETURNING settings_revision
        )
        SELECT settings_revision, pg_notify(${channel}, ${announcement("config", scope)}) FROM counted`.pipe(
        Effect.flatMap(Schema.decodeUnknown(Counter)),
        Effect.map(([row]) => row?.settings_revision),
      )
    }

    /** Why nothing was written. */
    const refusal = ({ scope, expectedResourceVersion }: SettingChange) =>
      Effect.gen(function* () {
        const [found] = yield* sql`SELECT resource_version FROM sandboxes WHERE id = ${scope}`.pipe(
          Effect.flatMap(Schema.decodeUnknown(Versions)),
        )
        if (found === undefined) return new NotFound({ message: "sandbox not found" })
        const current = found.resource_version
        return expectedResourceVersion !== 0 && expectedResourceVersion !== current
          ? concurrentModification("config update", current)
          : new HeadMoved({ current })
      })

    return (change) =>
      Effect.gen(function* () {
        const written = yield* statement(change, yield* Clock.currentTimeMillis)
        return written ?? (yield* Effect.flatMap(refusal(change), Effect.fail))
      })
  })
