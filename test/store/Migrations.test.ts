import { SqlClient } from "@effect/sql"
import { Effect, Redacted } from "effect"
import { describe, expect, it } from "vitest"
import { migrate } from "../../src/store/Migrations.ts"
import { schemaName } from "../../src/store/SchemaName.ts"
import { migrations, postgresTypes, sqliteTypes } from "../../src/store/Tables.ts"
import { openStoreProcess } from "../kit/StoreProcess.ts"
import { dialects, runWith, storeKit } from "../kit/Stores.ts"

const applied = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{ readonly id: number }>`SELECT id FROM schema_migrations ORDER BY id`
  return rows.map(({ id }) => id)
})

describe.each(dialects)("migrations on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("are all applied once, in order, however often they run", async () => {
    const config = kit.fresh()
    const expected = migrations.map(({ id }) => id)
    expect(await runWith(config, applied)).toEqual(expected)
    expect(await runWith(config, Effect.zipRight(migrate, applied))).toEqual(expected)
  })

  it("leave a database alone that a newer build has migrated", async () => {
    const config = kit.fresh()
    const insertNewer = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`INSERT INTO schema_migrations ${sql.insert({ id: 99, name: "future", applied_at_ms: 1 })}`
    })
    await runWith(config, insertNewer)
    expect(await runWith(config, applied)).toEqual([...migrations.map(({ id }) => id), 99])
  })

  it("refuse a database whose history is another program's", async () => {
    const config = kit.fresh()
    await runWith(
      config,
      Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`UPDATE schema_migrations SET name = 'users' WHERE id = 1`,
      ),
    )
    await expect(runWith(config, Effect.void)).rejects.toThrow(/migration 1 in the database is 'users'/)
  })

  it("refuse tables that belong to a cluster of another id", async () => {
    const config = kit.fresh()
    await runWith(config, Effect.void)
    const twin = { ...config, clusterId: config.clusterId.replace("-", "_") }
    expect(schemaName(twin.clusterId)).toBe(schemaName(config.clusterId))
    await expect(runWith(twin, Effect.void)).rejects.toThrow(/belong to cluster 'test-/)
  })

  it("undo a migration that fails half-way", async () => {
    const config = kit.fresh()
    await expect(
      runWith(
        config,
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`DELETE FROM schema_migrations WHERE id = 3`
          yield* sql`DROP TABLE cluster_shards`
          // cluster_runners still exists, so the second statement of the migration fails.
          yield* migrate
        }),
      ),
    ).rejects.toThrow(/internal error: migrate/)
    // Nothing of the failed attempt stayed: with the obstacle gone it succeeds from the beginning.
    await expect(runWith(config, Effect.void)).rejects.toThrow(/internal error: migrate/)
  })
})

describe("migrations", () => {
  it("are numbered from 1 without gaps", () => {
    expect(migrations.map(({ id }) => id)).toEqual(migrations.map((_, index) => index + 1))
  })

  it("only expand: old replicas serve while a new one migrates", () => {
    for (const types of [postgresTypes, sqliteTypes])
      for (const migration of migrations)
        for (const statement of migration.statements(types))
          expect(statement).not.toMatch(/\b(DROP|RENAME|TRUNCATE|ALTER COLUMN)\b/i)
  })
})

describe("first boot on Postgres", () => {
  const kit = storeKit("postgres")

  it("works for five processes at once", async () => {
    const config = kit.fresh()
    const url = Redacted.value(config.url)
    const processes = Array.from({ length: 5 }, () => openStoreProcess(url, config.clusterId))
    try {
      const opened = await Promise.all(processes.map((process) => process.opened))
      expect(opened, processes.map((process) => process.stderr()).join("\n")).toEqual(opened.map(() => true))
      const workspaces = await kit
        .postgres()
        .query(`SELECT name FROM "${schemaName(config.clusterId)}".workspaces`)
      expect(workspaces).toEqual([{ name: "default" }])
      const migrated = processes.filter((process) => process.stderr().includes("Database migrated: 1 "))
      expect(migrated).toHaveLength(1)
    } finally {
      await Promise.all(processes.map((process) => process.kill()))
    }
  }, 60_000)

  it("keeps two clusters in one database apart", async () => {
    const [one, two] = [kit.fresh(), kit.fresh()]
    await Promise.all([runWith(one, Effect.void), runWith(two, Effect.void)])
    const add = Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql`INSERT INTO settings ${sql.insert({ key: "k", value: "v" })}`,
    )
    await runWith(one, add)
    const found = Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql`SELECT value FROM settings WHERE key = 'k'`,
    )
    expect(await runWith(one, found)).toHaveLength(1)
    expect(await runWith(two, found)).toHaveLength(0)
  })

  it("works for twenty connections of one process at once", async () => {
    const config = kit.fresh()
    await Promise.all(Array.from({ length: 20 }, () => runWith(config, Effect.void)))
  }, 30_000)
})
