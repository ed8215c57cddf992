/** The one database of a cluster: Postgres, or SQLite for a single replica. */
import * as SqlClient from "@effect/sql/SqlClient"
import { Context, Duration, Effect, FiberRef, Layer, Option, Redacted } from "effect"
import { FailedPrecondition, type Unavailable } from "../domain/Errors.ts"
import { type Change, ChangeBus } from "./ChangeBus.ts"
import * as Postgres from "./Postgres.ts"
import { guard } from "./SqlErrors.ts"
import * as Sqlite from "./Sqlite.ts"

export interface DatabaseConfig {
  /** `postgres://user:password@host:port/database` or `sqlite:PATH` */
  readonly url: Redacted.Redacted<string>
  readonly clusterId: string
  /** Shown by Postgres in pg_stat_activity. */
  readonly applicationName: string
}

export type Dialect = "postgres" | "sqlite"

export class Database extends Context.Tag("holdfast/Database")<
  Database,
  {
    readonly dialect: Dialect
    readonly clusterId: string
    readonly url: Redacted.Redacted<string>
    readonly applicationName: string
    /** Round trip of an empty statement in milliseconds. */
    readonly ping: Effect.Effect<number, Unavailable>
    /**
     * All store operations inside take effect together or not at all. Give it store operations only: it has
     * one deadline (`databaseCallMs`), and on SQLite everyone else waits for its end.
     */
    readonly transaction: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Unavailable, R>
    /** SQLite only: tells this process of a change, at the end of the open transaction if there is one. */
    readonly publish: (change: Change) => Effect.Effect<void>
    /** SQLite only: where `publish` goes. */
    readonly bus: ChangeBus
  }
>() {}

/** `Database.transaction` for code that does not hold the service. */
export const transaction = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E | Unavailable, R | Database> =>
  Effect.flatMap(Database, (database) => database.transaction(effect))

const serviceOn = (
  sql: SqlClient.SqlClient,
  config: DatabaseConfig,
  dialect: Dialect,
): Effect.Effect<Context.Tag.Service<Database>, never, never> =>
  Effect.sync(() => {
    const bus = new ChangeBus()
    const pending = FiberRef.unsafeMake<Option.Option<Array<Change>>>(Option.none())
    const flushed = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.flatMap(FiberRef.get(pending), (outer) => {
        if (Option.isSome(outer)) return effect
        const changes: Array<Change> = []
        return effect.pipe(
          Effect.locally(pending, Option.some(changes)),
          Effect.tap(() =>
            Effect.sync(() => {
              for (const change of changes) bus.publish(change)
            }),
          ),
        )
      })
    return {
      dialect,
      clusterId: config.clusterId,
      url: config.url,
      applicationName: config.applicationName,
      bus,
      ping: Effect.timed(sql`SELECT 1`).pipe(
        Effect.map(([elapsed]) => Duration.toMillis(elapsed)),
        guard("ping"),
      ),
      transaction: (effect) => flushed(sql.withTransaction(effect).pipe(guard("transaction"))),
      publish: (change) =>
        Effect.map(
          FiberRef.get(pending),
          Option.match({
            onNone: () => bus.publish(change),
            onSome: (changes) => void changes.push(change),
          }),
        ),
    }
  })

const make = (config: DatabaseConfig) =>
  Effect.gen(function* () {
    const url = Redacted.value(config.url)
    if (url.startsWith("sqlite:")) {
      const sql = yield* Sqlite.client(url)
      return { sql, service: yield* serviceOn(sql, config, "sqlite") }
    }
    if (!/^postgres(ql)?:\/\//.test(url))
      return yield* new FailedPrecondition({
        message: "HOLDFAST_DATABASE_URL must begin with postgres:// or sqlite:",
      })
    yield* Postgres.reachable(config)
    const sql = yield* Postgres.pool(config).pipe(guard("connect"))
    return { sql, service: yield* serviceOn(sql, config, "postgres") }
  })

/**
 * Postgres: returns when the database has answered, however long that takes. SQLite: fails when the file is
 * in use by another process or cannot be opened.
 */
export const layer = (
  config: DatabaseConfig,
): Layer.Layer<SqlClient.SqlClient | Database, Unavailable | FailedPrecondition> =>
  Layer.scopedContext(
    Effect.map(make(config), ({ sql, service }) =>
      Context.make(SqlClient.SqlClient, sql).pipe(Context.add(Database, service)),
    ),
  )
