/** Who belongs to a workspace, and as what. */
import { randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import {
  AlreadyExists,
  type FailedPrecondition,
  LimitReached,
  type NotFound,
  type Unavailable,
} from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { type WorkspaceMember, WorkspaceRole } from "../domain/Workspace.ts"
import { Database } from "./Database.ts"
import { guard } from "./SqlErrors.ts"
import { refuseClosed } from "./WorkspaceContents.ts"

export interface MemberQuery {
  readonly workspace: string
  readonly limit: number
  readonly offset: number
}

export class WorkspaceMembers extends Context.Tag("holdfast/WorkspaceMembers")<
  WorkspaceMembers,
  {
    /** Refused for who is a member already, and beyond `workspaceMembers` of them. */
    readonly add: (
      workspace: string,
      subject: string,
      role: WorkspaceRole,
    ) => Effect.Effect<
      WorkspaceMember,
      AlreadyExists | LimitReached | NotFound | FailedPrecondition | Unavailable
    >
    /** False when there is no such member. */
    readonly remove: (workspace: string, subject: string) => Effect.Effect<boolean, Unavailable>
    /** Oldest first, equal ages by subject. */
    readonly list: (query: MemberQuery) => Effect.Effect<ReadonlyArray<WorkspaceMember>, Unavailable>
  }
>() {}

const Row = Schema.Struct({
  id: Schema.String,
  workspace: Schema.String,
  subject: Schema.String,
  role: WorkspaceRole,
  createdAtMs: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("created_at_ms")),
  resourceVersion: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("resource_version")),
})
const decode = Schema.decodeUnknown(Schema.Array(Row))
const Counts = Schema.Array(Schema.Struct({ count: Schema.Number }))

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const database = yield* Database

  const add = (workspace: string, subject: string, role: WorkspaceRole) =>
    Effect.gen(function* () {
      const createdAtMs = yield* Clock.currentTimeMillis
      const member = { id: randomUUID(), workspace, subject, role, createdAtMs, resourceVersion: 1 }
      // The row's lock makes the count exact: whoever else adds to this workspace waits.
      yield* sql.onDialectOrElse({
        pg: () => sql`SELECT 1 FROM workspaces WHERE name = ${workspace} FOR UPDATE`,
        orElse: () => sql`SELECT 1`,
      })
      yield* refuseClosed(sql, workspace)
      const [counted] = yield* sql`SELECT count(*) AS count FROM workspace_members
        WHERE workspace = ${workspace} AND subject <> ${subject}`.pipe(
        Effect.flatMap(Schema.decodeUnknown(Counts)),
      )
      if ((counted?.count ?? 0) >= limits.workspaceMembers)
        return yield* new LimitReached({
          message: `workspace '${workspace}' has ${limits.workspaceMembers} members, the most it can have`,
        })
      const rows = yield* sql`INSERT INTO workspace_members ${sql.insert(
        yield* Schema.encode(Row)(member),
      )} ON CONFLICT DO NOTHING RETURNING id`
      if (rows.length === 0)
        return yield* new AlreadyExists({
          message: `'${subject}' is already a member of workspace '${workspace}'`,
        })
      return member
    }).pipe(database.transaction)

  const remove = (workspace: string, subject: string) =>
    sql`DELETE FROM workspace_members WHERE workspace = ${workspace} AND subject = ${subject} RETURNING id`.pipe(
      Effect.map((rows) => rows.length > 0),
    )

  const list = ({ workspace, limit, offset }: MemberQuery) =>
    Effect.flatMap(
      sql`SELECT * FROM workspace_members WHERE workspace = ${workspace}
        ORDER BY created_at_ms, subject LIMIT ${limit} OFFSET ${offset}`,
      decode,
    )

  return WorkspaceMembers.of({
    add: (workspace, subject, role) => add(workspace, subject, role).pipe(guard("member add")),
    remove: (workspace, subject) => remove(workspace, subject).pipe(guard("member remove")),
    list: (query) => list(query).pipe(guard("member list")),
  })
})

export const layer: Layer.Layer<WorkspaceMembers, never, SqlClient.SqlClient | Database> = Layer.effect(
  WorkspaceMembers,
  make,
)
