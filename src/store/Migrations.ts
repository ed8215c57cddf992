/**
 * Brings the database to this build's schema. Any number of replicas may do it at once: on Postgres one
 * advisory lock per cluster lets one of them work and the others wait, then find nothing left to do.
 */
import { randomUUID } from "node:crypto"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Clock, type Context, Effect, Schema } from "effect"
import type { ParseError } from "effect/ParseResult"
import { Internal, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Database } from "./Database.ts"
import * as Postgres from "./Postgres.ts"
import { migrationLock, schemaName } from "./SchemaName.ts"
import { guardLong } from "./SqlErrors.ts"
import { type Migration, migrations, postgresTypes, sqliteTypes } from "./Tables.ts"

const Applied = Schema.Array(Schema.Struct({ id: Schema.Number, name: Schema.String }))

type Sql = SqlClient.SqlClient
type Failure = SqlError | ParseError | Internal

const applied = (sql: Sql) =>
  sql`SELECT id, name FROM schema_migrations ORDER BY id`.pipe(Effect.flatMap(Schema.decodeUnknown(Applied)))

/** A migration of the same number and another content would be another program's schema. */
const unknownHistory = (done: typeof Applied.Type): Internal | undefined => {
  const stranger = done.find(({ id, name }) => migrations.some((own) => own.id === id && own.name !== name))
  return stranger === undefined
    ? undefined
    : new Internal({
        message: `migration ${stranger.id} in the database is '${stranger.name}', not the one this build knows; is this another program's database?`,
      })
}

const apply = (sql: Sql, migration: Migration): Effect.Effect<void, SqlError> =>
  Effect.gen(function* () {
    const types = sql.onDialectOrElse({ pg: () => postgresTypes, orElse: () => sqliteTypes })
    for (const statement of migration.statements(types)) yield* sql.unsafe(statement)
    const applied_at_ms = yield* Clock.currentTimeMillis
    yield* sql`INSERT INTO schema_migrations ${sql.insert({ id: migration.id, name: migration.name, applied_at_ms })}`
    yield* Effect.logInfo(`Database migrated: ${migration.id} ${migration.name}`)
  })

/** Two cluster ids may share a schema name, such as `a-b` and `a_b`: the first one owns it. */
const claim = (sql: Sql, clusterId: string): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    yield* sql`INSERT INTO settings ${sql.insert({ key: "cluster_id", value: clusterId })}
      ON CONFLICT (key) DO NOTHING`
    const rows = yield* sql`SELECT value FROM settings WHERE key = 'cluster_id'`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Array(Schema.Struct({ value: Schema.String })))),
    )
    const owner = rows[0]?.value
    if (owner !== clusterId)
      return yield* new Internal({
        message: `these tables belong to cluster '${owner}', not to '${clusterId}'; choose another HOLDFAST_CLUSTER_ID or database`,
      })
  })

const addDefaultWorkspace = (sql: Sql): Effect.Effect<void, SqlError> =>
  Effect.gen(function* () {
    const created_at_ms = yield* Clock.currentTimeMillis
    const row = { id: randomUUID(), name: "default", labels: "{}", created_at_ms, resource_version: 1 }
    yield* sql`INSERT INTO workspaces ${sql.insert(row)} ON CONFLICT (name) DO NOTHING`
  })

/** Inside one transaction: all of it or nothing. */
const bringUpToDate = (sql: Sql, clusterId: string): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    const { bigint } = sql.onDialectOrElse({ pg: () => postgresTypes, orElse: () => sqliteTypes })
    yield* sql.unsafe(`CREATE TABLE IF NOT EXISTS schema_migrations (
      id integer PRIMARY KEY, name text NOT NULL, applied_at_ms ${bigint} NOT NULL)`)
    const done = yield* applied(sql)
    const stranger = unknownHistory(done)
    if (stranger !== undefined) return yield* stranger
    const known = new Set(done.map(({ id }) => id))
    for (const migration of migrations) if (!known.has(migration.id)) yield* apply(sql, migration)
    yield* claim(sql, clusterId)
    yield* addDefaultWorkspace(sql)
  })

const onPostgres = (database: Context.Tag.Service<Database>) =>
  Effect.gen(function* () {
    const sql = yield* Postgres.longSession(database)
    const schema = schemaName(database.clusterId)
    yield* Effect.gen(function* () {
      yield* sql`SELECT pg_advisory_xact_lock(${migrationLock(database.clusterId).toString()}::bigint)`
      yield* sql.unsafe(`CREATE SCHEMA IF NOT EXISTS "${schema}"`)
      yield* bringUpToDate(sql, database.clusterId)
    }).pipe(sql.withTransaction)
  }).pipe(Effect.scoped)

/** Forward only: a database that is ahead of this build is left as it is. Safe to run on every start. */
export const migrate: Effect.Effect<void, Unavailable | Internal, SqlClient.SqlClient | Database> =
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const database = yield* Database
    yield* database.dialect === "postgres"
      ? onPostgres(database)
      : sql.withTransaction(bringUpToDate(sql, database.clusterId))
  }).pipe(
    guardLong("migrate"),
    // The server times its statements, but a server that is gone times nothing.
    Effect.disconnect,
    Effect.timeoutFail({
      duration: limits.migrationTotalMs,
      onTimeout: () =>
        new Unavailable({ message: "database unavailable: the migration did not end in time" }),
    }),
  )
