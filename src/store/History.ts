/**
 * A bounded history per sandbox (its logs, its events): numbered without gaps in the order of commits, trimmed
 * from the old end, and announced. A reader that remembers the last number it saw misses nothing that is kept.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { makeAnnounce } from "./Announce.ts"
import { Database } from "./Database.ts"
import { guard, isMissingParent } from "./SqlErrors.ts"

export interface HistoryOptions {
  readonly kind: "log" | "event"
  readonly table: "sandbox_logs" | "sandbox_events"
  readonly heads: "sandbox_log_heads" | "sandbox_event_heads"
  /** Entries that readers may count on. */
  readonly keep: number
  /** Old entries are removed each time this many have been added, so up to that many more are stored. */
  readonly trimEvery: number
}

const Head = Schema.Array(Schema.Struct({ last_seq: Schema.Number }))

/** Postgres text cannot hold U+0000. */
export const storable = (text: string): string => text.replaceAll("\0", "\uFFFD")

export const makeHistory = (options: HistoryOptions) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const database = yield* Database
    const announce = yield* makeAnnounce
    const table = sql(options.table)
    const heads = sql(options.heads)

    const lastSeq = (sandboxId: string): Effect.Effect<number, SqlError | ParseError> =>
      sql`SELECT last_seq FROM ${heads} WHERE sandbox_id = ${sandboxId}`.pipe(
        Effect.flatMap(Schema.decodeUnknown(Head)),
        Effect.map(([row]) => row?.last_seq ?? 0),
      )

    const append = (sandboxId: string, entries: ReadonlyArray<Record<string, unknown>>) =>
      Effect.gen(function* () {
        // The select, not a constant row: nothing is kept for a sandbox that is gone.
        const [head] = yield* sql`INSERT INTO ${heads} (sandbox_id, last_seq)
          SELECT id, ${entries.length} FROM sandboxes WHERE id = ${sandboxId}
          ON CONFLICT (sandbox_id) DO UPDATE SET last_seq = ${heads}.last_seq + excluded.last_seq
          RETURNING last_seq`.pipe(Effect.flatMap(Schema.decodeUnknown(Head)))
        if (head === undefined) return
        const before = head.last_seq - entries.length
        const rows = entries.map((entry, index) => ({
          sandbox_id: sandboxId,
          seq: before + index + 1,
          ...entry,
        }))
        yield* announce(
          options.kind,
          sandboxId,
          sql<object>`INSERT INTO ${table} ${sql.insert(rows)} RETURNING sandbox_id`,
        )
        if (Math.floor(before / options.trimEvery) !== Math.floor(head.last_seq / options.trimEvery))
          yield* sql`DELETE FROM ${table} WHERE sandbox_id = ${sandboxId} AND seq <= ${head.last_seq - options.keep}`
      }).pipe(
        database.transaction,
        Effect.catchIf(isMissingParent, () => Effect.void),
      )

    return {
      sql,
      table,
      lastSeq,
      /** Nothing happens for a sandbox that does not exist (any more). */
      append: (
        sandboxId: string,
        entries: ReadonlyArray<Record<string, unknown>>,
      ): Effect.Effect<void, Unavailable> =>
        Effect.forEach(
          Arr.chunksOf(entries, limits.logLinesPerBatch),
          (batch) => append(sandboxId, batch).pipe(guard(`${options.kind} append`)),
          { discard: true },
        ),
      removeForSandbox: (sandboxId: string): Effect.Effect<void, Unavailable> =>
        sql`DELETE FROM ${heads} WHERE sandbox_id = ${sandboxId}`.pipe(
          Effect.asVoid,
          guard(`${options.kind} removal`),
        ),
    } as const
  })
