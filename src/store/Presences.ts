/** Which supervisor session a sandbox has and which replica holds its socket: one row, written at attach. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Option, Schema } from "effect"
import type { StaleEpoch, Unavailable } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import { type Presence, type Sandbox, SandboxStatus } from "../domain/Sandbox.ts"
import { announcement } from "./Announce.ts"
import { Database } from "./Database.ts"
import { fenceHolds, refuseStale } from "./Fenced.ts"
import { decodeRows as decodeSandboxes } from "./SandboxRow.ts"
import { schemaName } from "./SchemaName.ts"
import { guard } from "./SqlErrors.ts"

const Row = Schema.Struct({
  sandbox_id: Schema.String,
  session_id: Schema.String,
  instance_id: Schema.String,
  instance_started_at_ms: Schema.Number,
  connection_epoch: Schema.Number,
  replica: Schema.String,
  attached_at_ms: Schema.Number,
  lost_at_ms: Schema.NullOr(Schema.Number),
  retired_instances: Schema.parseJson(Schema.Array(Schema.String)),
})

const toPresence = (row: typeof Row.Type): Presence => ({
  sandboxId: row.sandbox_id,
  sessionId: row.session_id,
  instanceId: row.instance_id,
  instanceStartedAtMs: row.instance_started_at_ms,
  connectionEpoch: row.connection_epoch,
  replica: row.replica,
  attachedAtMs: row.attached_at_ms,
  ...(row.lost_at_ms === null ? {} : { lostAtMs: row.lost_at_ms }),
  retiredInstances: row.retired_instances,
})

const encodeRow = (presence: Presence): typeof Row.Encoded =>
  Schema.encodeSync(Row)({
    sandbox_id: presence.sandboxId,
    session_id: presence.sessionId,
    instance_id: presence.instanceId,
    instance_started_at_ms: presence.instanceStartedAtMs,
    connection_epoch: presence.connectionEpoch,
    replica: presence.replica,
    attached_at_ms: presence.attachedAtMs,
    lost_at_ms: presence.lostAtMs ?? null,
    retired_instances: presence.retiredInstances,
  })

const decodeRows = (rows: ReadonlyArray<unknown>) =>
  Effect.map(Schema.decodeUnknown(Schema.Array(Row))(rows), (decoded) => decoded.map(toPresence))

/** A sandbox without a session, in a row that has room for one. */
const NoSession = Schema.Struct({ session_id: Schema.Null })

const Held = Schema.Array(Schema.Union(Row, NoSession))

const heldIn = (row: (typeof Held.Type)[number]): Presence | undefined =>
  row.session_id === null ? undefined : toPresence(row)

const Status = Schema.parseJson(SandboxStatus)
const Stored = Schema.Struct({ sandbox_id: Schema.String, status: Status, resource_version: Schema.Number })
const ArrivingRows = Schema.Array(Schema.Union(Schema.extend(Row, Stored), Schema.extend(NoSession, Stored)))
const encodeStatus = Schema.encodeSync(Status)
const Ids = Schema.Array(Schema.Struct({ sandbox_id: Schema.String }))

/** What is stored of a sandbox whose supervisor arrives. */
export interface Arriving {
  readonly status: SandboxStatus
  readonly resourceVersion: number
  readonly previous: Presence | undefined
}

/** A session to be set, and under which proof. */
export interface Attached {
  readonly presence: Presence
  readonly fence: Fence
  /** What it makes of the sandbox, if that changes: written with the session or not at all. */
  readonly change: { readonly status: SandboxStatus; readonly resourceVersion: number } | undefined
}

export class Presences extends Context.Tag("holdfast/Presences")<
  Presences,
  {
    readonly get: (sandboxId: string) => Effect.Effect<Option.Option<Presence>, Unavailable>
    /** A sandbox and its session, by one statement: what an actor knows when it wakes. */
    readonly withSandbox: (
      sandboxId: string,
    ) => Effect.Effect<
      Option.Option<{ readonly sandbox: Sandbox; readonly presence: Presence | undefined }>,
      Unavailable
    >
    /** The same of many, with no more than an attach asks for. Sandboxes that do not exist are absent. */
    readonly arriving: (
      sandboxIds: ReadonlyArray<string>,
    ) => Effect.Effect<ReadonlyMap<string, Arriving>, Unavailable>
    /**
     * Sets the session of each, under its own fence, by one statement; which were set. Of the others the fence is
     * stale, or the sandbox has changed since it was read, or this database changes one sandbox at a time.
     */
    readonly putAll: (sessions: ReadonlyArray<Attached>) => Effect.Effect<ReadonlySet<string>, Unavailable>
    /** Sets the sandbox's session, whatever it was before. */
    readonly put: (presence: Presence, fence: Fence) => Effect.Effect<void, StaleEpoch | Unavailable>
    /** True if that session was the sandbox's and is now marked lost; a session already lost keeps its time. */
    readonly markLost: (
      sandboxId: string,
      sessionId: string,
      lostAtMs: number,
      fence: Fence,
    ) => Effect.Effect<boolean, StaleEpoch | Unavailable>
    readonly remove: (sandboxId: string, fence: Fence) => Effect.Effect<void, StaleEpoch | Unavailable>
  }
>() {}

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const channel = schemaName((yield* Database).clusterId)

  /** Single-statement upsert: the columns come as a SELECT, so that the fence can be its condition. */
  const put = (presence: Presence, fence: Fence) =>
    Effect.gen(function* () {
      const row = encodeRow(presence)
      const columns = Object.keys(row).map((name) => sql`${sql(name)}`)
      const values = Object.values(row).map((value) => sql`${value}`)
      const written = yield* sql`INSERT INTO presences (${sql.csv(columns)})
        SELECT ${sql.csv(values)} WHERE ${fenceHolds(sql, fence)}
        ON CONFLICT (sandbox_id) DO UPDATE SET ${sql.csv(columns.map((name) => sql`${name} = excluded.${name}`))}
        RETURNING sandbox_id`
      if (written.length === 0) yield* refuseStale(sql, fence)
    })

  /** The sessions travel as one JSON parameter, which becomes rows beside the epochs of their shards. */
  const putTogether = (sessions: ReadonlyArray<Attached>) =>
    Effect.gen(function* () {
      const rows = sessions.map(({ presence, fence, change }) => ({
        ...encodeRow(presence),
        ...fence,
        notification: announcement("sandbox", presence.sandboxId),
        ...(change === undefined
          ? {}
          : {
              status: encodeStatus(change.status),
              phase: change.status.phase,
              version: change.resourceVersion,
            }),
      }))
      const columns = Object.keys(Row.fields)
      const list = sql.csv(columns.map((name) => sql.literal(name)))
      const set = sql.csv(columns.map((name) => sql.literal(`${name} = excluded.${name}`)))
      const written = yield* sql`WITH claims AS (
          SELECT r.* FROM json_to_recordset(${JSON.stringify(rows)}::json) AS r(
            sandbox_id text, session_id text, instance_id text, instance_started_at_ms bigint,
            connection_epoch bigint, replica text, attached_at_ms bigint, lost_at_ms bigint,
            retired_instances text, shard integer, epoch bigint, notification text,
            status text, phase text, version bigint)
          JOIN cluster_shards c ON c.shard_id = r.shard AND c.epoch = r.epoch
          ORDER BY r.sandbox_id FOR SHARE OF c
        ), changed AS (
          UPDATE sandboxes s SET status = claims.status, phase = claims.phase, resource_version = claims.version + 1
          FROM claims WHERE s.id = claims.sandbox_id AND s.resource_version = claims.version
          RETURNING s.id, claims.notification
        ), put AS (
          INSERT INTO presences (${list})
          SELECT ${list} FROM claims WHERE version IS NULL OR sandbox_id IN (SELECT id FROM changed)
          ON CONFLICT (sandbox_id) DO UPDATE SET ${set} RETURNING sandbox_id
        )
        SELECT put.sandbox_id, CASE WHEN changed.id IS NOT NULL THEN pg_notify(${channel}, changed.notification) END
        FROM put LEFT JOIN changed ON changed.id = put.sandbox_id`
      return new Set((yield* Schema.decodeUnknown(Ids)(written)).map(({ sandbox_id }) => sandbox_id))
    })

  /** SQLite has one writer and no far end: a statement each costs nothing there. */
  const putEach = (sessions: ReadonlyArray<Attached>) =>
    Effect.map(
      Effect.forEach(
        sessions.filter(({ change }) => change === undefined),
        ({ presence, fence }) =>
          put(presence, fence).pipe(
            Effect.as([presence.sandboxId]),
            Effect.catchTag("StaleEpoch", () => Effect.succeed([])),
          ),
      ),
      (ids) => new Set(ids.flat()),
    )

  return Presences.of({
    get: (sandboxId) =>
      sql`SELECT * FROM presences WHERE sandbox_id = ${sandboxId}`.pipe(
        Effect.flatMap(decodeRows),
        Effect.map((rows) => Option.fromNullable(rows[0])),
        guard("presence get"),
      ),
    withSandbox: (sandboxId) =>
      Effect.gen(function* () {
        const rows = yield* sql<object>`SELECT s.*, s.id AS sandbox_id, p.session_id, p.instance_id,
            p.instance_started_at_ms, p.connection_epoch, p.replica, p.attached_at_ms, p.lost_at_ms,
            p.retired_instances
          FROM sandboxes s LEFT JOIN presences p ON p.sandbox_id = s.id WHERE s.id = ${sandboxId}`
        const [sandbox] = yield* decodeSandboxes(rows)
        if (sandbox === undefined) return Option.none()
        const [held] = yield* Schema.decodeUnknown(Held)(rows)
        return Option.some({ sandbox, presence: held && heldIn(held) })
      }).pipe(guard("sandbox and presence get")),
    arriving: (sandboxIds) =>
      sandboxIds.length === 0
        ? Effect.succeed(new Map())
        : Effect.gen(function* () {
            const rows =
              yield* sql<object>`SELECT s.id AS sandbox_id, s.status, s.resource_version, p.session_id, p.instance_id,
                p.instance_started_at_ms, p.connection_epoch, p.replica, p.attached_at_ms, p.lost_at_ms,
                p.retired_instances
              FROM sandboxes s LEFT JOIN presences p ON p.sandbox_id = s.id WHERE s.id IN ${sql.in(sandboxIds)}`
            return new Map(
              (yield* Schema.decodeUnknown(ArrivingRows)(rows)).map((row) => [
                row.sandbox_id,
                { status: row.status, resourceVersion: row.resource_version, previous: heldIn(row) },
              ]),
            )
          }).pipe(guard("arriving sandboxes get")),
    putAll: (sessions) =>
      sessions.length === 0
        ? Effect.succeed(new Set())
        : sql
            .onDialectOrElse({ pg: () => putTogether(sessions), orElse: () => putEach(sessions) })
            .pipe(guard("presences put")),
    put: (presence, fence) => put(presence, fence).pipe(guard("presence put")),
    markLost: (sandboxId, sessionId, lostAtMs, fence) =>
      sql`UPDATE presences SET lost_at_ms = COALESCE(lost_at_ms, ${lostAtMs})
          WHERE sandbox_id = ${sandboxId} AND session_id = ${sessionId} AND ${fenceHolds(sql, fence)}
          RETURNING sandbox_id`.pipe(
        Effect.flatMap((rows) =>
          rows.length > 0 ? Effect.succeed(true) : Effect.as(refuseStale(sql, fence), false),
        ),
        guard("presence loss"),
      ),
    remove: (sandboxId, fence) =>
      sql`DELETE FROM presences WHERE sandbox_id = ${sandboxId} AND ${fenceHolds(sql, fence)}
          RETURNING sandbox_id`.pipe(
        Effect.flatMap((rows) => (rows.length > 0 ? Effect.void : refuseStale(sql, fence))),
        guard("presence remove"),
      ),
  })
})

export const layer: Layer.Layer<Presences, never, SqlClient.SqlClient | Database> = Layer.effect(
  Presences,
  make,
)
