/** Turns what the database clients throw into the errors callers may see, and puts a deadline on every call. */
import { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { ParseError } from "effect/ParseResult"
import { Internal, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import * as Reach from "./Reach.ts"

/** Postgres error classes and codes (Appendix A of its manual) that pass by themselves. */
const transientPostgres: ReadonlyArray<readonly [prefix: string, meaning: string]> = [
  ["08", "connection lost"],
  ["53", "out of resources"],
  ["57014", "statement timed out"],
  ["57P", "shutting down or starting"],
  ["58", "disk or system error"],
  ["28", "login refused"],
  ["3D000", "database missing"],
  ["40", "transaction rolled back"],
  ["55P03", "lock not available"],
  ["25006", "read-only server"],
  ["25P03", "transaction timed out"],
]

const transientCodes: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "connection refused"],
  ["ECONNRESET", "connection reset"],
  ["ECONNABORTED", "connection aborted"],
  ["EPIPE", "connection closed"],
  ["ETIMEDOUT", "connection timed out"],
  ["EHOSTUNREACH", "host unreachable"],
  ["EHOSTDOWN", "host down"],
  ["ENETUNREACH", "network unreachable"],
  ["ENOTFOUND", "host name not found"],
  ["EAI_AGAIN", "name service not reachable"],
  ["EMFILE", "out of file descriptors"],
  ["ENOENT", "socket missing"],
  ["EACCES", "access denied"],
  ["SQLITE_BUSY", "database is locked"],
  ["SQLITE_LOCKED", "database is locked"],
  ["SQLITE_FULL", "disk full"],
  ["SQLITE_IOERR", "disk error"],
  ["SQLITE_CANTOPEN", "database file cannot be opened"],
  ["SQLITE_READONLY", "database file is read-only"],
  ["TRANSACTION_CLOSED", "transaction rolled back"],
  ["CLIENT_CLOSED", "shutting down"],
])

/** Errors of the `pg` client that carry no code, by the start of their text. */
const transientTexts: ReadonlyArray<readonly [start: string, meaning: string]> = [
  ["Connection terminated due to connection timeout", "connection timed out"],
  ["Connection terminated", "connection lost"],
  ["timeout exceeded when trying to connect", "no connection free in time"],
  ["timeout expired", "connection timed out"],
  ["Client has encountered a connection error", "connection lost"],
  ["Client was closed", "connection lost"],
  ["Connection ended", "connection lost"],
  ["Cannot use a pool after calling end", "shutting down"],
  ["Connection timed out", "connection timed out"],
  ["Query read timeout", "no answer"],
  ["The server does not support SSL", "no TLS on the server"],
  ["There was an error establishing an SSL connection", "TLS failed"],
  ["database connection was silent", "no answer"],
]

/** The innermost error that says something: clients and Node wrap (AggregateError, cause). */
const rootOf = (error: unknown): unknown => {
  let at = error
  // Wrapping is at most a few levels deep; the bound guards against a cycle.
  for (let depth = 0; depth < 8; depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0]
    else if (at instanceof SqlError && at.cause !== undefined) at = at.cause
    else return at
  }
  return at
}

const codeOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined

/** Why the database cannot serve now, in words without secrets; undefined when the error is no such reason. */
export const outageReason = (error: unknown): string | undefined => {
  const root = rootOf(error)
  const code = codeOf(root)
  if (code !== undefined) {
    const known = transientCodes.get(code)
    if (known !== undefined) return `${known} (${code})`
    const meaning = transientPostgres.find(([prefix]) => code.startsWith(prefix))
    if (meaning !== undefined && root instanceof Error) return `${meaning[1]} (${code}: ${root.message})`
  }
  const text = root instanceof Error ? root.message : ""
  return transientTexts.find(([start]) => text.startsWith(start))?.[1]
}

const unavailable = (reason: string) => new Unavailable({ message: `database unavailable: ${reason}` })

/** Codes of a missing parent row: Postgres foreign_key_violation, SQLite's extended code. */
export const isMissingParent = (error: unknown): boolean => {
  const root = rootOf(error)
  const code = codeOf(root)
  const text = root instanceof Error ? root.message : ""
  return code === "23503" || text.includes("FOREIGN KEY constraint failed")
}

/** A fault that no retry cures; the cause goes to the log, the caller learns that there was one. */
const internal = (operation: string, cause: unknown) =>
  Effect.as(
    Effect.logError("Unexpected database error", { operation, cause: describe(cause) }),
    new Internal({ message: `internal error: ${operation}` }),
  )

const describe = (cause: unknown): string => {
  const root = rootOf(cause)
  return root instanceof Error ? `${codeOf(root) ?? root.name}: ${root.message}` : String(root)
}

type DatabaseError = SqlError | ParseError

const isDatabaseError = (error: unknown): error is DatabaseError =>
  error instanceof SqlError || error instanceof ParseError

const translate =
  <X>(operation: string, unexpected: (error: Internal) => Effect.Effect<never, X>) =>
  <A, E, R>(
    effect: Effect.Effect<A, E | DatabaseError, R>,
  ): Effect.Effect<A, Exclude<E, DatabaseError> | X | Unavailable, R> =>
    effect.pipe(
      // The clients' transactions die of a failed COMMIT or ROLLBACK.
      Effect.catchAllDefect((defect) =>
        defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect),
      ),
      Effect.catchIf(isDatabaseError, (error): Effect.Effect<never, X | Unavailable> => {
        const reason = outageReason(error)
        return reason === undefined
          ? Effect.flatMap(internal(operation, error), unexpected)
          : Effect.fail(unavailable(reason))
      }),
    )

/**
 * Fails when the database has been silent, or after `databaseCallMs` in any case. Silent: it has answered nobody since
 * this was asked.
 */
const patience: Effect.Effect<never, Unavailable> = Effect.gen(function* () {
  const askedAtMs = performance.now()
  const silenceMs = Reach.isSilent() ? limits.databaseAgainMs : limits.databaseSilentMs
  yield* Effect.sleep(silenceMs)
  // After a stall of this process the answer may wait in the kernel: let it be read first.
  yield* Effect.sleep(limits.databaseLookMs)
  if (Reach.givenUp(askedAtMs)) return yield* unavailable(`no answer within ${silenceMs} ms`)
  yield* Effect.sleep(Math.max(0, limits.databaseCallMs - (performance.now() - askedAtMs)))
  return yield* unavailable(`no answer within ${limits.databaseCallMs} ms`)
})

/**
 * The frame of every store operation: `Unavailable` when the database is away, silent or slower than `databaseCallMs`,
 * a defect (an `Internal`, its cause logged) for what only a fault of this program explains.
 */
export const guard =
  (operation: string) =>
  <A, E, R>(
    effect: Effect.Effect<A, E | DatabaseError, R>,
  ): Effect.Effect<A, Exclude<E, DatabaseError> | Unavailable, R> =>
    Effect.suspend(() => {
      const askedAtMs = performance.now()
      return translate(
        operation,
        Effect.die,
      )(effect).pipe(
        Effect.tap(() => Effect.sync(() => Reach.heard(askedAtMs))),
        // A silent database cannot answer the cancel request either: leave the statement behind, do not wait.
        Effect.disconnect,
        Effect.raceFirst(patience),
      )
    })

/** For work without a common deadline, such as migrations: the unexpected is in the error channel. */
export const guardLong =
  (operation: string) =>
  <A, E, R>(
    effect: Effect.Effect<A, E | DatabaseError, R>,
  ): Effect.Effect<A, Exclude<E, DatabaseError> | Unavailable | Internal, R> =>
    translate(operation, (error) => Effect.fail(error))(effect)
