/**
 * SQLite for a single replica. One connection serves the whole process, and a statement that is not part of the
 * open transaction waits for its end: libsql runs statements on the event loop, so a second connection that
 * waits for the write lock would stop the very process that must release it.
 */

import { createHash } from "node:crypto"
import { chmod, mkdir, open, realpath } from "node:fs/promises"
import path from "node:path"
import { pathToFileURL } from "node:url"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { type Client, createClient, type InValue, type Transaction } from "@libsql/client"
import { Effect, type Scope, Stream } from "effect"
import { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import * as ProcessLock from "../domain/ProcessLock.ts"

const ownerOnly = 0o600

/** `sqlite:PATH`; `sqlite://` and `sqlite:///` as in other tools' addresses are understood. */
export const pathOf = (url: string): string => path.resolve(url.replace(/^sqlite:(\/\/)?/, ""))

const refuse = (message: string) => new FailedPrecondition({ message })
const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Creates the file for its owner alone; SQLite gives -wal and -shm the mode of the file. */
const prepare = (file: string): Effect.Effect<string, FailedPrecondition> =>
  Effect.tryPromise({
    try: async () => {
      await mkdir(path.dirname(file), { recursive: true })
      const handle = await open(file, "a", ownerOnly)
      await handle.close()
      for (const suffix of ["", "-wal", "-shm"])
        await chmod(`${file}${suffix}`, ownerOnly).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error
        })
      return await realpath(file)
    },
    catch: (error) => refuse(`the SQLite file ${file} cannot be used: ${reasonOf(error)}`),
  })

const lockName = (file: string): string =>
  `sqlite-${createHash("sha256").update(file).digest("hex").slice(0, 32)}`

const exclusive = (file: string): Effect.Effect<void, FailedPrecondition, Scope.Scope> =>
  ProcessLock.acquire(lockName(file)).pipe(
    Effect.mapError((error) =>
      refuse(
        error._tag === "LockHeld"
          ? `another gateway uses the SQLite file ${file}, and SQLite serves a single replica only. Stop the other one, or give all replicas one Postgres: HOLDFAST_DATABASE_URL=postgres://user:password@host:port/database`
          : `the SQLite file ${file} cannot be locked: ${error.message}`,
      ),
    ),
  )

const openFile = (file: string): Effect.Effect<Client, FailedPrecondition, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = createClient({
          url: pathToFileURL(file).href,
          concurrency: 1,
          timeout: limits.sqliteBusyMs,
        })
        await client.execute("PRAGMA journal_mode = WAL")
        await client.execute("PRAGMA foreign_keys = ON")
        return client
      },
      catch: (error) => refuse(`the SQLite file ${file} cannot be opened: ${reasonOf(error)}`),
    }),
    (client) => Effect.sync(() => client.close()),
  )

const isInValue = (value: unknown): value is InValue =>
  value === null ||
  ["string", "number", "bigint", "boolean"].includes(typeof value) ||
  value instanceof ArrayBuffer ||
  value instanceof Uint8Array ||
  value instanceof Date

const connection = (
  target: Client | Transaction,
  around: <A>(run: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>,
): Connection => {
  const run = (sql: string, params: ReadonlyArray<unknown>) =>
    around(
      Effect.tryPromise({
        try: () =>
          target.execute({
            sql,
            args: params.map((value) => {
              if (!isInValue(value)) throw new TypeError(`SQLite cannot hold a ${typeof value}`)
              return value
            }),
          }),
        catch: (cause) => new SqlError({ cause, message: "Failed to execute statement" }),
      }),
    )
  const execute: Connection["execute"] = (sql, params, transform) =>
    Effect.map(run(sql, params), ({ rows }) => (transform === undefined ? rows : transform(rows)))
  return {
    execute,
    executeRaw: run,
    executeUnprepared: execute,
    executeValues: (sql, params) =>
      Effect.map(run(sql, params), ({ rows }) => rows.map((row) => Array.from(row))),
    executeStream: (sql, params, transform) => Stream.fromIterableEffect(execute(sql, params, transform)),
  }
}

/** Statements end without leaving the event loop: between two of them sockets and timers get their turn. */
const breathe = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const clientOn = (sdk: Client): Effect.Effect<SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const turn = yield* Effect.makeSemaphore(1)
    const transactionAcquirer = Effect.gen(function* () {
      yield* Effect.acquireRelease(turn.take(1), () => turn.release(1))
      yield* breathe
      const transaction = yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: () => sdk.transaction("write"),
          catch: (cause) => new SqlError({ cause, message: "Failed to begin transaction" }),
        }),
        (open) => Effect.sync(() => open.close()),
      )
      return connection(transaction, (run) => run)
    })
    return yield* SqlClient.make({
      acquirer: Effect.succeed(connection(sdk, (run) => turn.withPermits(1)(Effect.zipRight(breathe, run)))),
      transactionAcquirer,
      // The acquirer has begun it already: libsql binds a transaction to its connection.
      beginTransaction: "SELECT 1",
      compiler: makeCompilerSqlite(),
      spanAttributes: [["db.system.name", "sqlite"]],
    })
  }).pipe(Effect.provide(Reactivity.layer))

/** Exclusive use of the file until the scope closes. */
export const client = (url: string): Effect.Effect<SqlClient.SqlClient, FailedPrecondition, Scope.Scope> =>
  Effect.gen(function* () {
    const file = yield* prepare(pathOf(url))
    yield* exclusive(file)
    return yield* clientOn(yield* openFile(file))
  })
