/**
 * Changed settings of sandboxes, for Postgres: those that come at once by one statement. Settings are what is
 * written most, and every such write counts in the gateway's one row, whose lock holds up all others until it is
 * committed. Row locks come in the order in which transactions take them: sandboxes, heads, counter; and those of
 * several sandboxes in the order of their ids.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Effect, Option, Schema } from "effect"
import { type Conflict, concurrentModification, NotFound, type Unavailable } from "../domain/Errors.ts"
import { announcement } from "./Announce.ts"
import { globalScope, type Head, HeadMoved, headColumns, noHead } from "./ConfigRows.ts"
import { Database } from "./Database.ts"
import { schemaName } from "./SchemaName.ts"
import { shared } from "./SharedStatements.ts"
import { guard } from "./SqlErrors.ts"

export interface SettingChange {
  /** The sandbox's id. */
  readonly scope: string
  readonly from: Head
  readonly to: Head
  /** The sandbox's resource version, which advances if it is still this one; 0: whichever it is. */
  readonly expectedResourceVersion: number
}

/** All of it or nothing. Returns the counter of settings. */
export type WriteSetting = (
  change: SettingChange,
) => Effect.Effect<number, HeadMoved | Conflict | NotFound | Unavailable>

const Written = Schema.Array(Schema.Struct({ scope: Schema.String, settings_revision: Schema.Number }))
const Versions = Schema.Array(Schema.Struct({ resource_version: Schema.Number }))

export const makeWriteSetting: Effect.Effect<WriteSetting, never, SqlClient.SqlClient | Database> =
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const channel = schemaName((yield* Database).clusterId)

    // Each step reads what the one before it returned, so none is done without it. The locks of the first are on the
    // sandboxes as they are after all who were first, and so is the comparison. Their ids are given once more as a
    // list: of that the planner knows the length, and looks them up by index.
    const statement = (
      scopes: ReadonlyArray<string>,
      asked: string,
      counter: ReturnType<typeof headColumns>,
    ) => sql`WITH asked AS (
        SELECT * FROM json_to_recordset(${asked}::json) AS asked (scope text, expected bigint, told text,
          revision bigint, changed_at_ms bigint, settings text, version bigint, policy text, policy_hash text,
          draft_version bigint, analyzed_at_ms bigint)
      ), sandbox AS (
        SELECT sandboxes.id FROM sandboxes JOIN asked ON sandboxes.id = asked.scope
        WHERE sandboxes.id = ANY(${scopes}::text[]) AND asked.expected IN (0, sandboxes.resource_version)
        ORDER BY sandboxes.id FOR NO KEY UPDATE OF sandboxes
      ), written AS (
        INSERT INTO config_heads (scope, sandbox_id, settings_revision, revision, changed_at_ms, settings, version,
          policy, policy_hash, draft_version, analyzed_at_ms)
        SELECT id, id, 0, revision, changed_at_ms, settings, version,
          policy, policy_hash, draft_version, analyzed_at_ms FROM sandbox JOIN asked ON asked.scope = sandbox.id
        ON CONFLICT (scope) DO UPDATE SET revision = excluded.revision, changed_at_ms = excluded.changed_at_ms,
          settings = excluded.settings, version = excluded.version, policy = excluded.policy,
          policy_hash = excluded.policy_hash, draft_version = excluded.draft_version,
          analyzed_at_ms = excluded.analyzed_at_ms
        WHERE config_heads.revision = excluded.revision - 1 RETURNING scope
      ), advanced AS (
        UPDATE sandboxes SET resource_version = resource_version + 1 FROM written WHERE id = written.scope
      ), counted AS (
        INSERT INTO config_heads (scope, settings_revision, revision, changed_at_ms, settings, version, policy_hash,
          draft_version, analyzed_at_ms)
        SELECT ${globalScope}, count(*), ${counter.revision}, ${counter.changed_at_ms}, ${counter.settings},
          ${counter.version}, ${counter.policy_hash}, ${counter.draft_version}, ${counter.analyzed_at_ms}
        FROM written HAVING count(*) > 0
        ON CONFLICT (scope) DO UPDATE SET
          settings_revision = config_heads.settings_revision + excluded.settings_revision
        RETURNING settings_revision
      )
      SELECT scope, pg_notify(${channel}, asked.told),
        settings_revision - count(*) OVER () + row_number() OVER (ORDER BY scope) AS settings_revision
      FROM written JOIN asked USING (scope) CROSS JOIN counted`

    const many = (changes: ReadonlyArray<SettingChange>) =>
      Effect.gen(function* () {
        const nowMs = yield* Clock.currentTimeMillis
        const asked = changes.map(({ scope, from, to, expectedResourceVersion }) => ({
          ...{ scope, expected: expectedResourceVersion, told: announcement("config", scope) },
          ...headColumns({ ...to, revision: from.revision + 1 }, nowMs),
        }))
        const rows = yield* statement(
          changes.map(({ scope }) => scope),
          JSON.stringify(asked),
          headColumns(noHead, nowMs),
        )
        const written = yield* Schema.decodeUnknown(Written)(rows)
        return written.map(({ scope, settings_revision }) => [[scope], settings_revision] as const)
      })

    const write = yield* shared<SettingChange, number>({
      operation: "config write",
      keyOf: ({ scope }) => [scope],
      one: (change) =>
        Effect.map(many([change]), ([written]) =>
          Option.map(Option.fromNullable(written), ([, count]) => count),
        ),
      many,
      writes: true,
    })

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
      }).pipe(guard("config write"))

    return (change) =>
      Effect.flatMap(
        write(change),
        Option.match({
          onNone: () => Effect.flatMap(refusal(change), Effect.fail),
          onSome: Effect.succeed,
        }),
      )
  })
