/** Sandbox records: every change is a compare-and-swap on `resourceVersion`, and of an owner also on its epoch. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Context, Effect, Layer, Option, Schema } from "effect"
import {
  AlreadyExists,
  type Conflict,
  concurrentModification,
  type FailedPrecondition,
  NotFound,
  type StaleEpoch,
  type Unavailable,
} from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { makeAnnounce } from "./Announce.ts"
import { Database } from "./Database.ts"
import { fenceHolds, refuseStale } from "./Fenced.ts"
import { makeHasLabel } from "./Labels.ts"
import { decodeRows, encodeRow } from "./SandboxRow.ts"
import { shared } from "./SharedStatements.ts"
import { guard } from "./SqlErrors.ts"
import { refuseClosed, workspaceOpen } from "./WorkspaceContents.ts"

export interface SandboxQuery {
  /** None: all workspaces. */
  readonly workspace: Option.Option<string>
  /** Labels that must all be present with that value. */
  readonly selector: ReadonlyArray<readonly [key: string, value: string]>
  readonly limit: number
  readonly offset: number
}

export class Sandboxes extends Context.Tag("holdfast/Sandboxes")<
  Sandboxes,
  {
    /**
     * Stores a new sandbox at resource version 1. Fails when its name is taken in the workspace, or its id, and
     * when there is no such workspace or it is being deleted.
     */
    readonly insert: (
      sandbox: Sandbox,
    ) => Effect.Effect<Sandbox, AlreadyExists | NotFound | FailedPrecondition | Unavailable>
    readonly get: (id: string) => Effect.Effect<Option.Option<Sandbox>, Unavailable>
    readonly getByName: (
      workspace: string,
      name: string,
    ) => Effect.Effect<Option.Option<Sandbox>, Unavailable>
    /** Oldest first, equal ages by id. */
    readonly list: (query: SandboxQuery) => Effect.Effect<ReadonlyArray<Sandbox>, Unavailable>
    /**
     * Replaces what may change (deletion time, labels, annotations, spec, status) if the stored version is still
     * `next.resourceVersion`; returns it with its new version.
     */
    readonly update: (
      next: Sandbox,
      fence?: Fence,
    ) => Effect.Effect<Sandbox, Conflict | StaleEpoch | NotFound | Unavailable>
    /** Removes the row and all that belongs to the sandbox: presence, SSH sessions, logs, events. */
    readonly remove: (id: string, fence?: Fence) => Effect.Effect<void, StaleEpoch | NotFound | Unavailable>
  }
>() {}

const notFound = () => new NotFound({ message: "sandbox not found" })

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* Database
  const announce = yield* makeAnnounce

  const first = (rows: Effect.Effect<ReadonlyArray<object>, SqlError>) =>
    Effect.map(Effect.flatMap(rows, decodeRows), (found) => Option.fromNullable(found[0]))

  const ofId = yield* shared<readonly [id: string], Sandbox>({
    operation: "sandbox get",
    keyOf: (key) => key,
    one: ([id]) => first(sql`SELECT * FROM sandboxes WHERE id = ${id}`),
    many: (keys) =>
      sql`SELECT * FROM sandboxes WHERE id = ANY(${keys.map(([id]) => id)}::text[])`.pipe(
        Effect.flatMap(decodeRows),
        Effect.map((found) => found.map((sandbox) => [[sandbox.id], sandbox])),
      ),
  })

  const ofName = yield* shared<readonly [workspace: string, name: string], Sandbox>({
    operation: "sandbox get",
    keyOf: (key) => key,
    one: ([workspace, name]) =>
      first(sql`SELECT * FROM sandboxes WHERE workspace = ${workspace} AND name = ${name}`),
    many: (keys) =>
      sql`SELECT sandboxes.* FROM sandboxes JOIN unnest(${keys.map(([workspace]) => workspace)}::text[],
        ${keys.map(([, name]) => name)}::text[]) AS asked (workspace, name) USING (workspace, name)`.pipe(
        Effect.flatMap(decodeRows),
        Effect.map((found) => found.map((sandbox) => [[sandbox.workspace, sandbox.name], sandbox])),
      ),
  })

  const insert = (sandbox: Sandbox) =>
    Effect.gen(function* () {
      const stored = { ...sandbox, resourceVersion: 1 }
      const row = Object.entries(encodeRow(stored))
      const columns = sql.csv(row.map(([column]) => sql`${sql(column)}`))
      const values = sql.csv(row.map(([, value]) => sql`${value}`))
      const rows = yield* announce(
        "sandbox",
        sandbox.id,
        sql<object>`INSERT INTO sandboxes (${columns})
          SELECT ${values} WHERE ${workspaceOpen(sql, sandbox.workspace)} ON CONFLICT DO NOTHING RETURNING id`,
      )
      if (rows.length > 0) return stored
      yield* refuseClosed(sql, sandbox.workspace)
      return yield* new AlreadyExists({ message: `sandbox '${sandbox.name}' already exists` })
    })

  const hasLabel = makeHasLabel(sql)

  const list = ({ workspace, selector, limit, offset }: SandboxQuery) => {
    const conditions = selector.map(([key, value]) => hasLabel(key, value))
    if (Option.isSome(workspace)) conditions.push(sql`workspace = ${workspace.value}`)
    const where = conditions.length === 0 ? sql`` : sql`WHERE ${sql.and(conditions)}`
    return Effect.flatMap(
      sql`SELECT * FROM sandboxes ${where} ORDER BY created_at_ms, id LIMIT ${limit} OFFSET ${offset}`,
      decodeRows,
    )
  }

  /** Why an update or removal touched no row. */
  const explain = (id: string, fence: Fence | undefined) =>
    Effect.gen(function* () {
      yield* refuseStale(sql, fence)
      const found = yield* sql`SELECT resource_version FROM sandboxes WHERE id = ${id}`.pipe(
        Effect.flatMap(
          Schema.decodeUnknown(Schema.Array(Schema.Struct({ resource_version: Schema.Number }))),
        ),
      )
      return found[0]?.resource_version
    })

  const update = (next: Sandbox, fence?: Fence) =>
    Effect.gen(function* () {
      const row = encodeRow(next)
      const rows = yield* announce(
        "sandbox",
        next.id,
        sql<object>`UPDATE sandboxes SET ${sql.update(
          {
            deletion_timestamp_ms: row.deletion_timestamp_ms,
            labels: row.labels,
            annotations: row.annotations,
            phase: row.phase,
            spec: row.spec,
            status: row.status,
            resource_version: next.resourceVersion + 1,
          },
          [],
        )}
        WHERE id = ${next.id} AND resource_version = ${next.resourceVersion} AND ${fenceHolds(sql, fence)}
        RETURNING id`,
      )
      if (rows.length > 0) return { ...next, resourceVersion: next.resourceVersion + 1 }
      const version = yield* explain(next.id, fence)
      if (version === undefined) return yield* notFound()
      return yield* concurrentModification("sandbox update", version)
    })

  const remove = (id: string, fence?: Fence) =>
    Effect.gen(function* () {
      const rows = yield* announce(
        "removed",
        id,
        sql<object>`DELETE FROM sandboxes WHERE id = ${id} AND ${fenceHolds(sql, fence)} RETURNING id`,
      )
      if (rows.length === 0) {
        yield* explain(id, fence)
        return yield* notFound()
      }
      // Logs and events go by cascade.
      yield* sql`DELETE FROM presences WHERE sandbox_id = ${id}`
      yield* sql`DELETE FROM ssh_sessions WHERE sandbox_id = ${id}`
    }).pipe(database.transaction)

  return Sandboxes.of({
    insert: (sandbox) => insert(sandbox).pipe(guard("sandbox insert")),
    get: (id) => ofId([id]),
    getByName: (workspace, name) => ofName([workspace, name]),
    list: (query) => list(query).pipe(guard("sandbox list")),
    update: (next, fence) => update(next, fence).pipe(guard("sandbox update")),
    remove: (id, fence) => remove(id, fence).pipe(guard("sandbox remove")),
  })
})

export const layer: Layer.Layer<Sandboxes, never, SqlClient.SqlClient | Database> = Layer.effect(
  Sandboxes,
  make,
)
