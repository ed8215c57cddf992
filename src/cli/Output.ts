/** Where words go: results for programs and pipes on stdout, everything said to a person on stderr. */
import { Effect } from "effect"
import type { Invocation } from "./Invocation.ts"
import { wantsColor } from "./text/Color.ts"
import { type Column, renderTable } from "./text/Table.ts"

export const colorOn = (stream: { readonly isTTY?: boolean }, flag: boolean): boolean =>
  wantsColor({ isTerminal: stream.isTTY === true, flag, environment: process.env })

/** Writes a result; waits while the reader is slow. */
export const print = (text: string): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (process.stdout.write(text)) return resume(Effect.void)
    const onDrain = (): void => resume(Effect.void)
    process.stdout.once("drain", onDrain)
    return Effect.sync(() => process.stdout.off("drain", onDrain))
  })

export const printJson = (value: unknown): Effect.Effect<void> => print(`${JSON.stringify(value, null, 2)}\n`)

/** One value of a stream of results, as a line. */
export const printJsonLine = (value: unknown): Effect.Effect<void> => print(`${JSON.stringify(value)}\n`)

/** A remark for the person at the terminal. */
export const say = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stderr.write(`${text}\n`)
  })

/** What one object came to. */
export interface Outcome {
  readonly json: unknown
  /** What `-o name` prints. */
  readonly name: string
  /** For a person. */
  readonly told: Effect.Effect<void>
}

/** Shows an outcome in the format that was asked for; `asJson` is `printJsonLine` for one of several. */
export const printOutcome = (
  { globals }: Invocation,
  { json, name, told }: Outcome,
  asJson: (value: unknown) => Effect.Effect<void> = printJson,
): Effect.Effect<void> => {
  if (globals.output === "json") return asJson(json)
  return globals.output === "name" ? print(`${name}\n`) : told
}

/** One of the objects that a command deletes; `deleted` is false for one that was not there. */
export const printDeleted = (
  invocation: Invocation,
  kind: string,
  name: string,
  deleted = true,
): Effect.Effect<void> => {
  const told = say(deleted ? `Deleted ${kind} "${name}".` : `There is no ${kind} "${name}".`)
  return printOutcome(invocation, { json: { name, deleted }, name, told }, printJsonLine)
}

export interface Listing<Row> {
  readonly rows: ReadonlyArray<Row>
  readonly columns: ReadonlyArray<Column<Row>>
  /** Further columns of `-o wide`. */
  readonly wide?: ReadonlyArray<Column<Row>>
  readonly json: (row: Row) => unknown
  /** What `-o name` prints. */
  readonly name: (row: Row) => string
  /** Said on stderr instead of an empty table. */
  readonly empty: string
  readonly headings?: boolean
}

/** Prints rows in the format that was asked for. JSON is an array. */
export const printListing = <Row>(invocation: Invocation, listing: Listing<Row>): Effect.Effect<void> => {
  const { output, color } = invocation.globals
  if (output === "json") return printJson(listing.rows.map(listing.json))
  if (output === "name") return print(listing.rows.map((row) => `${listing.name(row)}\n`).join(""))
  if (listing.rows.length === 0) return say(listing.empty)
  const columns = output === "wide" ? [...listing.columns, ...(listing.wide ?? [])] : listing.columns
  return print(
    renderTable(listing.rows, columns, {
      color: colorOn(process.stdout, color),
      headings: listing.headings ?? true,
    }),
  )
}

/** Label and value pairs below each other, values aligned; empty values are left out. */
export const renderFields = (fields: ReadonlyArray<readonly [string, string]>): string => {
  const shown = fields.filter(([, value]) => value !== "")
  const width = Math.max(0, ...shown.map(([label]) => label.length + 1))
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width)}  ${value}\n`).join("")
}
