/** Workspaces. One exists from the first migration on: `default`. */
import { randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { AlreadyExists, FailedPrecondition, NotFound, type Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import {
  defaultWorkspace,
  isTerminating,
  type Workspace,
  WorkspaceRole,
  workspaceNotFound,
} from "../domain/Workspace.ts"
import { Database } from "./Database.ts"
import { makeHasLabel } from "./Labels.ts"
import { guard } from "./SqlErrors.ts"
import { contentsOf } from "./WorkspaceContents.ts"

export interface WorkspaceQuery {
  /** None: all workspaces; some: those of which this subject is a member. */
  readonly memberSubject: Option.Option<string>
  readonly selector: ReadonlyArray<readonly [key: string, value: string]>
  readonly limit: number
  readonly offset: number
}

export class Workspaces extends Context.Tag("holdfast/Workspaces")<
  Workspaces,
  {
    readonly get: (name: string) => Effect.Effect<Option.Option<Workspace>, Unavailable>
    /** The workspace with the subject's role in it. */
    readonly getFor: (
      name: string,
      subject: string,
    ) => Effect.Effect<
      Option.Option<{ readonly workspace: Workspace; readonly role: Option.Option<WorkspaceRole> }>,
      Unavailable
    >
    readonly create: (
      name: string,
      labels: Workspace["labels"],
    ) => Effect.Effect<Workspace, AlreadyExists | Unavailable>
    /** By name. */
    readonly list: (query: WorkspaceQuery) => Effect.Effect<ReadonlyArray<Workspace>, Unavailable>
    /**
     * From then on nothing new can come into the workspace. Refused for `default` and while anything is in it.
     * Once more for one that is being deleted already changes nothing.
     */
    readonly terminate: (
      name: string,
    ) => Effect.Effect<Workspace, NotFound | FailedPrecondition | Unavailable>
    /** Names of those that were terminated before this time, at most a page of them. */
    readonly terminating: (beforeMs: number) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /** Removes a workspace that was terminated, and its members; false when there is none. */
    readonly remove: (name: string) => Effect.Effect<boolean, Unavailable>
  }
>() {}

const Row = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  labels: Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String })),
  createdAtMs: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("created_at_ms")),
  resourceVersion: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("resource_version")),
  deletionTimestampMs: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("deletion_timestamp_ms")),
})
const decode = Schema.decodeUnknown(Schema.Array(Row))
const decodeWithRole = Schema.decodeUnknown(
  Schema.Array(Schema.extend(Row, Schema.Struct({ role: Schema.NullOr(WorkspaceRole) }))),
)

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* Database
  const hasLabel = makeHasLabel(sql)

  const get = (name: string) =>
    sql`SELECT * FROM workspaces WHERE name = ${name}`.pipe(
      Effect.flatMap(decode),
      Effect.map(([found]) => Option.fromNullable(found)),
    )

  const getFor = (name: string, subject: string) =>
    sql`SELECT workspaces.*, member.role FROM workspaces LEFT JOIN workspace_members AS member
      ON member.workspace = workspaces.name AND member.subject = ${subject} WHERE workspaces.name = ${name}`.pipe(
      Effect.flatMap(decodeWithRole),
      Effect.map(([found]) => {
        if (found === undefined) return Option.none()
        const { role, ...workspace } = found
        return Option.some({ workspace, role: Option.fromNullable(role) })
      }),
    )

  const create = (name: string, labels: Workspace["labels"]) =>
    Effect.gen(function* () {
      const createdAtMs = yield* Clock.currentTimeMillis
      const workspace = {
        id: randomUUID(),
        name,
        labels,
        createdAtMs,
        resourceVersion: 1,
        deletionTimestampMs: 0,
      }
      const rows = yield* sql`INSERT INTO workspaces ${sql.insert(
        yield* Schema.encode(Row)(workspace),
      )} ON CONFLICT DO NOTHING RETURNING id`
      if (rows.length === 0) return yield* new AlreadyExists({ message: "workspace already exists" })
      return workspace
    })

  const list = ({ memberSubject, selector, limit, offset }: WorkspaceQuery) => {
    const conditions = [sql`1 = 1`, ...selector.map(([key, value]) => hasLabel(key, value))]
    if (Option.isSome(memberSubject))
      conditions.push(
        sql`name IN (SELECT workspace FROM workspace_members WHERE subject = ${memberSubject.value})`,
      )
    return Effect.flatMap(
      sql`SELECT * FROM workspaces WHERE ${sql.and(conditions)} ORDER BY name LIMIT ${limit} OFFSET ${offset}`,
      decode,
    )
  }

  const terminate = (name: string) =>
    Effect.gen(function* () {
      if (name === defaultWorkspace)
        return yield* new FailedPrecondition({ message: "the default workspace cannot be deleted" })
      // The row's lock makes whoever puts something in wait; it then finds the workspace closed.
      const [found] = yield* sql`SELECT * FROM workspaces WHERE name = ${name} ${sql.onDialectOrElse({
        pg: () => sql`FOR UPDATE`,
        orElse: () => sql``,
      })}`.pipe(Effect.flatMap(decode))
      if (found === undefined) return yield* new NotFound({ message: workspaceNotFound(name) })
      if (isTerminating(found)) return found
      const contents = yield* contentsOf(sql, name)
      if (contents.length > 0)
        return yield* new FailedPrecondition({
          message: `workspace '${name}' still contains resources: ${contents.join(", ")}`,
        })
      const nowMs = yield* Clock.currentTimeMillis
      yield* sql`UPDATE workspaces SET deletion_timestamp_ms = ${nowMs}, resource_version = resource_version + 1
        WHERE name = ${name}`
      return { ...found, deletionTimestampMs: nowMs, resourceVersion: found.resourceVersion + 1 }
    }).pipe(database.transaction)

  const remove = (name: string) =>
    sql`DELETE FROM workspaces WHERE name = ${name} AND deletion_timestamp_ms > 0 RETURNING id`.pipe(
      Effect.map((rows) => rows.length > 0),
    )

  const terminating = (beforeMs: number) =>
    sql`SELECT name FROM workspaces WHERE deletion_timestamp_ms > 0 AND deletion_timestamp_ms < ${beforeMs}
      ORDER BY name LIMIT ${limits.listDefault}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Array(Schema.Struct({ name: Schema.String })))),
      Effect.map((rows) => rows.map(({ name }) => name)),
    )

  return Workspaces.of({
    get: (name) => get(name).pipe(guard("workspace get")),
    getFor: (name, subject) => getFor(name, subject).pipe(guard("workspace get")),
    create: (name, labels) => create(name, labels).pipe(guard("workspace create")),
    list: (query) => list(query).pipe(guard("workspace list")),
    terminate: (name) => terminate(name).pipe(guard("workspace delete")),
    terminating: (beforeMs) => terminating(beforeMs).pipe(guard("workspace sweep")),
    remove: (name) => remove(name).pipe(guard("workspace delete")),
  })
})

export const layer: Layer.Layer<Workspaces, never, SqlClient.SqlClient | Database> = Layer.effect(
  Workspaces,
  make,
)
