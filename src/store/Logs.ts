/** Log lines of sandboxes: the last `logLinesPerSandbox` of each, shared by all replicas. */
import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import { Context, Effect, Layer, Schema } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { LogLine } from "../domain/Sandbox.ts"
import type { Database } from "./Database.ts"
import { makeHistory, storable } from "./History.ts"
import { guard } from "./SqlErrors.ts"

export interface LogFilter {
  /** Lines older than this are left out; 0 for all. */
  readonly sinceMs: number
  /** `gateway`, `sandbox`; empty for all. */
  readonly sources: ReadonlyArray<string>
  /** ERROR, WARN, INFO, OCSF, DEBUG or TRACE; empty or unknown for all. */
  readonly minLevel: string
}

/** Position in a sandbox's log: the number of its last line that was looked at. 0 is the beginning. */
export type LogCursor = number

export interface LogPage {
  readonly lines: ReadonlyArray<LogLine>
  /** Where the next `after` continues. */
  readonly cursor: LogCursor
  /** Lines between the given cursor and these that were trimmed before they could be read. */
  readonly dropped: number
}

export class Logs extends Context.Tag("holdfast/Logs")<
  Logs,
  {
    /** Adds lines in their order. Does nothing for a sandbox that does not exist. */
    readonly append: (sandboxId: string, lines: ReadonlyArray<LogLine>) => Effect.Effect<void, Unavailable>
    /** The last `lines` lines that pass the filter, oldest first. */
    readonly tail: (
      sandboxId: string,
      query: LogFilter & { readonly lines: number },
    ) => Effect.Effect<LogPage, Unavailable>
    /** Up to `limit` lines after the cursor, oldest first. */
    readonly after: (
      sandboxId: string,
      cursor: LogCursor,
      filter: LogFilter,
      limit: number,
    ) => Effect.Effect<LogPage, Unavailable>
    readonly removeForSandbox: (sandboxId: string) => Effect.Effect<void, Unavailable>
  }
>() {}

/** OCSF lines are security events at the rank of INFO. */
const severities: ReadonlyMap<string, number> = new Map([
  ["ERROR", 0],
  ["WARN", 1],
  ["INFO", 2],
  ["OCSF", 2],
  ["DEBUG", 3],
  ["TRACE", 4],
])

/** 0 is the gravest; levels this table does not know rank as INFO. */
export const severityOf = (level: string): number => severities.get(level.toUpperCase()) ?? 2

const Row = Schema.Struct({
  sandboxId: Schema.propertySignature(Schema.String).pipe(Schema.fromKey("sandbox_id")),
  seq: Schema.Number,
  timestampMs: Schema.propertySignature(Schema.Number).pipe(Schema.fromKey("timestamp_ms")),
  level: Schema.String,
  target: Schema.String,
  message: Schema.String,
  source: LogLine.fields.source,
  fields: Schema.parseJson(LogLine.fields.fields),
})
const Rows = Schema.Array(Row)

const encodeLine = (line: LogLine) => ({
  timestamp_ms: line.timestampMs,
  level: storable(line.level),
  severity: severityOf(line.level),
  target: storable(line.target),
  message: storable(line.message),
  source: line.source,
  fields: JSON.stringify(line.fields),
})

const make = Effect.gen(function* () {
  const history = yield* makeHistory({
    kind: "log",
    table: "sandbox_logs",
    heads: "sandbox_log_heads",
    keep: limits.logLinesPerSandbox,
    trimEvery: limits.logLinesPerBatch,
  })
  const { sql, table } = history

  const passes = (filter: LogFilter): Fragment => {
    const conditions = [sql`1 = 1`]
    if (filter.sinceMs > 0) conditions.push(sql`timestamp_ms >= ${filter.sinceMs}`)
    if (filter.sources.length > 0) conditions.push(sql`source IN ${sql.in(filter.sources)}`)
    const worst = severities.get(filter.minLevel.toUpperCase())
    if (worst !== undefined) conditions.push(sql`severity <= ${worst}`)
    return sql.and(conditions)
  }

  /** Lines in the half-open range of numbers (from, to]. */
  const between = (sandboxId: string, from: number, to: number, filter: LogFilter, order: Fragment) =>
    sql`SELECT * FROM ${table} WHERE sandbox_id = ${sandboxId} AND seq > ${from} AND seq <= ${to}
      AND ${passes(filter)} ${order}`.pipe(Effect.flatMap(Schema.decodeUnknown(Rows)))

  const toLine = ({ seq: _, ...line }: typeof Row.Type): LogLine => line

  const tail = (sandboxId: string, query: LogFilter & { readonly lines: number }) =>
    Effect.gen(function* () {
      const last = yield* history.lastSeq(sandboxId)
      const count = Math.max(0, Math.min(query.lines, limits.logLinesPerSandbox))
      const oldest = Math.max(0, last - limits.logLinesPerSandbox)
      const rows = yield* between(sandboxId, oldest, last, query, sql`ORDER BY seq DESC LIMIT ${count}`)
      return { lines: rows.map(toLine).reverse(), cursor: last, dropped: 0 }
    })

  const after = (sandboxId: string, cursor: LogCursor, filter: LogFilter, limit: number) =>
    Effect.gen(function* () {
      const last = yield* history.lastSeq(sandboxId)
      if (last <= cursor) return { lines: [], cursor, dropped: 0 }
      const from = Math.max(cursor, last - limits.logLinesPerSandbox)
      const rows = yield* between(sandboxId, from, last, filter, sql`ORDER BY seq LIMIT ${limit}`)
      const lastRead = rows.length < limit ? last : (rows.at(-1)?.seq ?? last)
      return { lines: rows.map(toLine), cursor: lastRead, dropped: from - cursor }
    })

  return Logs.of({
    append: (sandboxId, lines) => history.append(sandboxId, lines.map(encodeLine)),
    tail: (sandboxId, query) => tail(sandboxId, query).pipe(guard("log tail")),
    after: (sandboxId, cursor, filter, limit) =>
      after(sandboxId, cursor, filter, limit).pipe(guard("log follow")),
    removeForSandbox: history.removeForSandbox,
  })
})

export const layer: Layer.Layer<Logs, never, SqlClient.SqlClient | Database> = Layer.effect(Logs, make)
