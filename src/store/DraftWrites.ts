/** Proposals of a sandbox and their history; written only together with the head of its configuration. */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { DraftChunk, DraftEvent } from "../domain/DraftPolicy.ts"
import { limits } from "../domain/Limits.ts"
import { encodeChunk } from "./ConfigRows.ts"
import { storable } from "./History.ts"

export interface DraftChange {
  /** New ones and changed ones. */
  readonly put: ReadonlyArray<DraftChunk>
  readonly removed: ReadonlyArray<string>
  readonly events: ReadonlyArray<DraftEvent>
}

const Last = Schema.Array(Schema.Struct({ last: Schema.NullOr(Schema.Number) }))

export const makeDraftWrites = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const lastOf = (table: "draft_chunks" | "draft_events", sandboxId: string) =>
    sql`SELECT MAX(seq) AS last FROM ${sql(table)} WHERE sandbox_id = ${sandboxId}`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Last)),
      Effect.map(([row]) => row?.last ?? 0),
    )

  const putChunks = (sandboxId: string, chunks: ReadonlyArray<DraftChunk>) =>
    Effect.gen(function* () {
      if (chunks.length === 0) return
      const last = yield* lastOf("draft_chunks", sandboxId)
      const rows = chunks.map((chunk, index) => ({
        sandbox_id: sandboxId,
        id: chunk.id,
        seq: last + 1 + index,
        status: chunk.status,
        chunk: encodeChunk(chunk),
      }))
      // A chunk that exists keeps its place.
      yield* sql`INSERT INTO draft_chunks ${sql.insert(rows)}
        ON CONFLICT (sandbox_id, id) DO UPDATE SET status = excluded.status, chunk = excluded.chunk`
    })

  const addEvents = (sandboxId: string, events: ReadonlyArray<DraftEvent>) =>
    Effect.gen(function* () {
      if (events.length === 0) return
      const last = yield* lastOf("draft_events", sandboxId)
      yield* sql`INSERT INTO draft_events ${sql.insert(
        events.map((event, index) => ({
          sandbox_id: sandboxId,
          seq: last + 1 + index,
          timestamp_ms: event.timestampMs,
          event_type: event.eventType,
          description: storable(event.description),
          chunk_id: event.chunkId,
        })),
      )}`
      yield* sql`DELETE FROM draft_events
        WHERE sandbox_id = ${sandboxId} AND seq <= ${last + events.length - limits.draftEvents}`
    })

  /** Inside the transaction that changes the head, so one at a time per sandbox. */
  const write = (
    sandboxId: string,
    { put, removed, events }: DraftChange,
  ): Effect.Effect<void, SqlError | ParseError> =>
    Effect.gen(function* () {
      yield* putChunks(sandboxId, put)
      if (removed.length > 0)
        yield* sql`DELETE FROM draft_chunks WHERE sandbox_id = ${sandboxId} AND id IN ${sql.in([...removed])}`
      yield* addEvents(sandboxId, events)
    })

  return { write } as const
})
