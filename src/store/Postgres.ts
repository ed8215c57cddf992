/**
 * A pool of Postgres connections that answers or fails in bounded time, also against a server that is frozen
 * or cut off: such a connection is destroyed, because Linux itself would retry for a quarter of an hour.
 */
import net from "node:net"
import * as Reactivity from "@effect/experimental/Reactivity"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Redacted, Schedule, type Scope } from "effect"
import pg from "pg"
import { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { schemaName } from "./SchemaName.ts"
import { outageReason } from "./SqlErrors.ts"

export interface PostgresConfig {
  readonly url: Redacted.Redacted<string>
  readonly clusterId: string
  readonly applicationName: string
}

/** idle_session_timeout, on which the cluster's leases rest, came with Postgres 14. */
const minimumVersion = 140_000

/** Both dialects then deliver the same: integers as numbers, JSON as text that a Schema parses. */
const sameTypesAsSqlite = (): pg.TypeOverrides => {
  const types = new pg.TypeOverrides()
  types.setTypeParser(pg.types.builtins.INT8, Number)
  types.setTypeParser(pg.types.builtins.JSON, (text) => text)
  types.setTypeParser(pg.types.builtins.JSONB, (text) => text)
  return types
}

/** Settings of every connection of the cluster; `search_path` names the cluster's own schema. */
export const connectionConfig = (config: PostgresConfig, statementMs: number): pg.ClientConfig => {
  const address = new URL(Redacted.value(config.url))
  // Options in the address would replace ours instead of joining them.
  const given = address.searchParams.get("options")
  address.searchParams.delete("options")
  const searchPath = `-c search_path=${schemaName(config.clusterId)}`
  return {
    connectionString: given === null ? Redacted.value(config.url) : address.toString(),
    options: given === null ? searchPath : `${given} ${searchPath}`,
    application_name: config.applicationName,
    connectionTimeoutMillis: limits.databaseConnectMs,
    statement_timeout: statementMs,
    idle_in_transaction_session_timeout: limits.databaseTransactionIdleMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: limits.databaseKeepaliveMs,
    types: sameTypesAsSqlite(),
  }
}

const bytesRead = (client: pg.PoolClient): number | undefined => {
  const stream = client instanceof pg.Client ? client.connection.stream : undefined
  return stream instanceof net.Socket ? stream.bytesRead : undefined
}

const destroy = (client: pg.PoolClient): void => {
  if (client instanceof pg.Client)
    client.connection.stream.destroy(new Error("database connection was silent"))
}

interface Watch {
  readonly timer: NodeJS.Timeout
  readonly bytesAtStart: number | undefined
}

/**
 * Destroys a connection that is in use and from which nothing came for `databaseSilenceMs`, or up to twice that,
 * and one that is given back before anything came: a statement that was given up is still unanswered on it.
 */
const watchSilence = (pool: pg.Pool): void => {
  const watches = new WeakMap<pg.PoolClient, Watch>()
  pool.on("acquire", (client) => {
    const bytesAtStart = bytesRead(client)
    let seen = bytesAtStart
    const timer = setInterval(() => {
      const before = seen
      seen = bytesRead(client)
      if (seen !== before) return
      // After a stall of this process the answer may wait in the kernel: let the socket be read first.
      setImmediate(() => setImmediate(() => bytesRead(client) === before && destroy(client)))
    }, limits.databaseSilenceMs)
    timer.unref()
    watches.set(client, { timer, bytesAtStart })
  })
  pool.on("release", (_, client) => {
    const watch = watches.get(client)
    clearInterval(watch?.timer)
    if (bytesRead(client) === watch?.bytesAtStart) destroy(client)
  })
  pool.on("remove", (client) => clearInterval(watches.get(client)?.timer))
}

const acquirePool = (settings: pg.PoolConfig, watched: boolean): Effect.Effect<pg.Pool, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pool = new pg.Pool(settings)
      // Without a listener the loss of an idle connection would end the process; the pool replaces it.
      pool.on("error", () => {})
      if (watched) watchSilence(pool)
      return pool
    }),
    (pool) =>
      Effect.promise(() => pool.end()).pipe(
        Effect.interruptible,
        Effect.timeoutOption(limits.databaseConnectMs),
      ),
  )

const clientOf = (
  settings: pg.PoolConfig,
  watched: boolean,
): Effect.Effect<SqlClient, SqlError, Scope.Scope> =>
  PgClient.fromPool({ acquire: acquirePool(settings, watched) }).pipe(Effect.provide(Reactivity.layer))

/** The pool for all short statements of a replica. */
export const pool = (config: PostgresConfig): Effect.Effect<SqlClient, SqlError, Scope.Scope> =>
  clientOf(
    {
      ...connectionConfig(config, limits.databaseStatementMs),
      max: limits.databaseConnections,
      idleTimeoutMillis: limits.databaseIdleMs,
    },
    true,
  )

/** One connection for long work, such as migrations. */
export const longSession = (config: PostgresConfig): Effect.Effect<SqlClient, SqlError, Scope.Scope> =>
  clientOf(
    {
      ...connectionConfig(config, limits.migrationMs),
      idle_in_transaction_session_timeout: limits.migrationIdleMs,
      max: 1,
    },
    false,
  )

interface Probe {
  readonly version: number
  readonly standby: boolean
}

/** Ends a connection without waiting for a server that may be gone. */
export const hangUp = (client: pg.Client): void => {
  client.end().catch(() => {})
  client.connection.stream.destroy()
}

const probe = (settings: pg.ClientConfig): Effect.Effect<Probe, string> =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({ ...settings, query_timeout: limits.databaseCallMs })
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<Probe>(
          "SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby",
        )
        return rows[0] ?? { version: 0, standby: false }
      } finally {
        hangUp(client)
      }
    },
    catch: (error) => outageReason(error) ?? (error instanceof Error ? error.message : String(error)),
  }).pipe(
    Effect.filterOrFail(
      ({ standby }) => !standby,
      () => "the server is a read-only standby",
    ),
  )

/** Doubles from a quarter second to five, with jitter: replicas that start together do not knock together. */
const patience = Schedule.exponential("250 millis").pipe(
  Schedule.union(Schedule.spaced(limits.databaseRetryMaxMs)),
  Schedule.jittered,
)

const unusable = (message: string) => new FailedPrecondition({ message })

/** Waits until the database answers, with one line in the log per attempt that failed. */
export const reachable = (config: PostgresConfig): Effect.Effect<void, FailedPrecondition> =>
  Effect.gen(function* () {
    const { settings, place } = yield* Effect.try({
      try: () => {
        const settings = connectionConfig(config, limits.databaseStatementMs)
        const { host, port, database } = new pg.Client(settings)
        return { settings, place: `${host}:${port}, database ${database ?? "?"}` }
      },
      catch: () =>
        unusable("HOLDFAST_DATABASE_URL is not of the form postgres://user:password@host:port/database"),
    })
    const { version } = yield* probe(settings).pipe(
      Effect.tapError((reason) =>
        Effect.logWarning(`Database not reachable, trying again: ${place}: ${reason}`),
      ),
      Effect.retry(patience),
      Effect.orDieWith((reason) => new Error(`the database is not reachable: ${reason}`)),
    )
    if (version < minimumVersion)
      return yield* unusable(
        `the server at ${place} is Postgres ${Math.floor(version / 10_000)}; Holdfast needs ${minimumVersion / 10_000} or newer`,
      )
    yield* Effect.logInfo(`Database reached: ${place}`)
  }).pipe(Effect.withLogSpan("database"))
