/** Platform events of sandboxes: the last `eventsPerSandbox` of each, shared by all replicas. */
import type * as SqlClient from "@effect/sql/SqlClient"
import { Context, Effect, Layer, Schema } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { PlatformEvent } from "../domain/Sandbox.ts"
import type { Database } from "./Database.ts"
import { makeHistory, storable } from "./History.ts"
import { guard } from "./SqlErrors.ts"

export interface EventPage {
  /** Oldest first. */
  readonly events: ReadonlyArray<PlatformEvent>
  /** Where the next `after` continues; 0 is the beginning. */
  readonly cursor: number
  /** Events between the given cursor and these that were trimmed before they could be read. */
  readonly dropped: number
}

export class Events extends Context.Tag("holdfast/Events")<
  Events,
  {
    /** Does nothing for a sandbox that does not exist. */
    readonly append: (sandboxId: string, event: PlatformEvent) => Effect.Effect<void, Unavailable>
    /** The last `count` events. */
    readonly tail: (sandboxId: string, count: number) => Effect.Effect<EventPage, Unavailable>
    /** All events after the cursor. */
    readonly after: (sandboxId: string, cursor: number) => Effect.Effect<EventPage, Unavailable>
    readonly removeForSandbox: (sandboxId: string) => Effect.Effect<void, Unavailable>
  }
>() {}

const Row = Schema.Struct({
  timestampMs: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("timestamp_ms")),
  source: Schema.String,
  type: Schema.String,
  reason: Schema.String,
  message: Schema.String,
  metadata: Schema.parseJson(PlatformEvent.fields.metadata),
})

const encodeEvent = (event: PlatformEvent) => ({
  timestamp_ms: event.timestampMs,
  source: storable(event.source),
  type: storable(event.type),
  reason: storable(event.reason),
  message: storable(event.message),
  metadata: JSON.stringify(event.metadata),
})

const make = Effect.gen(function* () {
  const history = yield* makeHistory({
    kind: "event",
    table: "sandbox_events",
    heads: "sandbox_event_heads",
    keep: limits.eventsPerSandbox,
    trimEvery: limits.eventsPerSandbox,
  })
  const { sql, table } = history

  const page = (sandboxId: string, cursor: number, from: number, to: number) =>
    sql`SELECT * FROM ${table} WHERE sandbox_id = ${sandboxId} AND seq > ${from} AND seq <= ${to} ORDER BY seq`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Array(Row))),
      Effect.map((events) => ({ events, cursor: Math.max(to, cursor), dropped: Math.max(0, from - cursor) })),
    )

  const tail = (sandboxId: string, count: number) =>
    Effect.gen(function* () {
      const last = yield* history.lastSeq(sandboxId)
      const from = Math.max(0, last - Math.max(0, Math.min(count, limits.eventsPerSandbox)))
      return { ...(yield* page(sandboxId, from, from, last)), dropped: 0 }
    })

  const after = (sandboxId: string, cursor: number) =>
    Effect.gen(function* () {
      const last = yield* history.lastSeq(sandboxId)
      return yield* page(sandboxId, cursor, Math.max(cursor, last - limits.eventsPerSandbox), last)
    })

  return Events.of({
    append: (sandboxId, event) => history.append(sandboxId, [encodeEvent(event)]),
    tail: (sandboxId, count) => tail(sandboxId, count).pipe(guard("event tail")),
    after: (sandboxId, cursor) => after(sandboxId, cursor).pipe(guard("event follow")),
    removeForSandbox: history.removeForSandbox,
  })
})

export const layer: Layer.Layer<Events, never, SqlClient.SqlClient | Database> = Layer.effect(Events, make)
