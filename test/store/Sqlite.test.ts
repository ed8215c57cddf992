import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { SqlClient } from "@effect/sql"
import { Effect, Redacted } from "effect"
import { describe, expect, it } from "vitest"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { pathOf } from "../../src/store/Sqlite.ts"
import { openStoreProcess } from "../kit/StoreProcess.ts"
import { aSandbox, eventually, everySandbox, runWith, storeKit } from "../kit/Stores.ts"

const modeOf = (file: string) => statSync(file).mode & 0o777

describe("a SQLite store", () => {
  const kit = storeKit("sqlite")

  it("is one file for its owner alone, with its side files, in a directory that is made", async () => {
    const config = kit.fresh()
    const file = join(
      dirname(pathOf(Redacted.value(config.url))),
      "a dir with spaces & %41 ?#",
      "holdfast.db",
    )
    const elsewhere = { ...config, url: Redacted.make(`sqlite:${file}`) }
    mkdirSync(dirname(file))
    writeFileSync(file, "")
    chmodSync(file, 0o644)
    await runWith(
      elsewhere,
      Effect.gen(function* () {
        yield* (yield* Sandboxes).insert(aSandbox())
        for (const suffix of ["", "-wal", "-shm"]) expect(modeOf(`${file}${suffix}`)).toBe(0o600)
        const sql = yield* SqlClient.SqlClient
        expect(yield* sql`PRAGMA journal_mode`).toMatchObject([{ journal_mode: "wal" }])
        expect(yield* sql`PRAGMA foreign_keys`).toMatchObject([{ foreign_keys: 1 }])
      }),
    )
  })

  it("keeps its records over restarts", async () => {
    const config = kit.fresh()
    const { id } = await runWith(
      config,
      Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox())),
    )
    const found = await runWith(
      config,
      Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.list(everySandbox)),
    )
    expect(found.map((row) => row.id)).toEqual([id])
  })

  it("refuses a second process and says which file, why, and what to do", async () => {
    const config = kit.fresh()
    const file = pathOf(Redacted.value(config.url))
    // Both are processes of their own: Node versions differ in how they spell an abstract socket.
    const first = openStoreProcess(Redacted.value(config.url), config.clusterId)
    expect(await first.opened).toBe(true)
    // Another name of the same file is the same file.
    const alias = `${file}.alias`
    symlinkSync(file, alias)
    for (const name of [file, alias]) {
      const second = openStoreProcess(`sqlite:${name}`, config.clusterId)
      expect(await second.opened).toBe(false)
      expect(await second.exit).toBe(1)
      expect(second.stderr()).toContain(file)
      expect(second.stderr()).toContain("SQLite serves a single replica")
      expect(second.stderr()).toContain("HOLDFAST_DATABASE_URL=postgres://")
    }
    first.child.stdin.end()
    expect(await first.exit).toBe(0)
    const next = openStoreProcess(Redacted.value(config.url), config.clusterId)
    expect(await next.opened).toBe(true)
    await next.kill()
  }, 30_000)

  it("can be opened at once after its process was killed", async () => {
    const config = kit.fresh()
    const first = openStoreProcess(Redacted.value(config.url), config.clusterId)
    expect(await first.opened).toBe(true)
    expect(existsSync(pathOf(Redacted.value(config.url)))).toBe(true)
    await first.kill()
    expect(
      await runWith(
        config,
        Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.list(everySandbox)),
      ),
    ).toEqual([])
  }, 30_000)

  it("refuses a file that is no database, and a path that cannot be", async () => {
    const config = kit.fresh()
    const file = pathOf(Redacted.value(config.url))
    writeFileSync(
      file,
      "this is a letter, not a database, and it is long enough to be read as a page".repeat(20),
    )
    await expect(runWith(config, Effect.void)).rejects.toThrow(`the SQLite file ${file} cannot be opened`)
    const below = { ...config, url: Redacted.make(`sqlite:${file}/below.db`) }
    await expect(runWith(below, Effect.void)).rejects.toThrow("cannot be used")
  })

  it("lets timers run while statements follow each other without a pause", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        let ticks = 0
        const timer = setInterval(() => {
          ticks += 1
        }, 1)
        for (let index = 0; index < 1_000 && ticks < 3; index++) yield* sandboxes.list(everySandbox)
        clearInterval(timer)
        expect(ticks).toBe(3)
      }),
    ))

  it("lets a statement wait for the open transaction instead of failing or stopping the process", () =>
    kit.run(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const sandboxes = yield* Sandboxes
        let inserted = false
        yield* Effect.fork(
          Effect.zipRight(
            sandboxes.insert(aSandbox()),
            Effect.sync(() => {
              inserted = true
            }),
          ),
        )
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`INSERT INTO settings ${sql.insert({ key: "k", value: "v" })}`
            yield* Effect.sleep(50)
            yield* sql`UPDATE settings SET value = 'w' WHERE key = 'k'`
          }),
        )
        yield* eventually(
          "the insert is done",
          Effect.sync(() => inserted),
        )
      }),
    ))

  it("understands the forms of its address", () => {
    expect(pathOf("sqlite:/var/lib/h.db")).toBe("/var/lib/h.db")
    expect(pathOf("sqlite:///var/lib/h.db")).toBe("/var/lib/h.db")
    expect(pathOf("sqlite:h.db")).toBe(join(process.cwd(), "h.db"))
    expect(pathOf("sqlite://h.db")).toBe(join(process.cwd(), "h.db"))
  })
})
