import { SqlClient } from "@effect/sql"
import { Cause, Effect, Exit, Fiber, Layer, Logger, ManagedRuntime, Redacted } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Database, type DatabaseConfig, layer } from "../../src/store/Database.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { guard } from "../../src/store/SqlErrors.ts"
import * as Store from "../../src/store/Store.ts"
import { openBlackHole } from "../kit/BlackHole.ts"
import { freePort } from "../kit/Postgres.ts"
import { aSandbox, dialects, eventually, everySandbox, quiet, storeKit } from "../kit/Stores.ts"

/** Collects log messages as one line each. */
const recorder = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => {
    lines.push([message].flat().map(String).join(" "))
  })
  return { lines, layer: Logger.replace(Logger.defaultLogger, logger) }
}

const open = (config: DatabaseConfig) => ManagedRuntime.make(Layer.provideMerge(Store.layer(config), quiet))

const at = (config: DatabaseConfig, change: (url: URL) => void): DatabaseConfig => {
  const url = new URL(Redacted.value(config.url))
  change(url)
  return { ...config, url: Redacted.make(url.toString()) }
}

const everything = Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.list(everySandbox))

/** A call that the database does not answer fails in this time at the latest, on a machine under load. */
const patienceMs = limits.databaseCallMs + 4_000

describe.each(dialects)("the database on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("measures a ping and names its dialect and cluster", async () => {
    const config = kit.fresh()
    const runtime = open(config)
    try {
      const database = await runtime.runPromise(Database)
      expect(database).toMatchObject({ dialect, clusterId: config.clusterId })
      expect(await runtime.runPromise(database.ping)).toBeGreaterThan(0)
    } finally {
      await runtime.dispose()
    }
  })

  it("takes a faulty statement for a fault of the program: logged with its cause, hidden from the caller", async () => {
    const { lines, layer: recording } = recorder()
    const faulty = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT nonsense FROM nowhere`).pipe(
      guard("test"),
    )
    const exit = await Effect.runPromiseExit(
      Effect.provide(faulty, Layer.provideMerge(Store.layer(kit.fresh()), recording)),
    )
    expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({
      _tag: "Internal",
      message: "internal error: test",
    })
    expect(lines.some((line) => line.includes("Unexpected database error"))).toBe(true)
  })

  it("serves transactions and single statements that come at the same time", async () => {
    const runtime = open(kit.fresh())
    const work = Effect.gen(function* () {
      const database = yield* Database
      const sandboxes = yield* Sandboxes
      const inTransaction = database.transaction(
        Effect.gen(function* () {
          const row = yield* sandboxes.insert(aSandbox())
          yield* Effect.yieldNow()
          return yield* sandboxes.update({ ...row, labels: { done: "1" } })
        }),
      )
      yield* Effect.all(
        Array.from({ length: 30 }, (_, index) =>
          index % 2 === 0 ? inTransaction : sandboxes.insert(aSandbox()),
        ),
        { concurrency: "unbounded" },
      )
      return (yield* everything).length
    })
    try {
      expect(await runtime.runPromise(work)).toBe(30)
    } finally {
      await runtime.dispose()
    }
  })
})

describe("Postgres that is not there at start", () => {
  const kit = storeKit("postgres")

  /** Starts the layer against a database that refuses, and returns what was logged until it was tried twice. */
  const attempts = async (config: DatabaseConfig) => {
    const { lines, layer: recording } = recorder()
    const failures = () => lines.filter((line) => line.startsWith("Database not reachable"))
    await Effect.runPromise(
      Effect.gen(function* () {
        const waiting = yield* Effect.fork(Layer.launch(layer(config)))
        yield* eventually(
          "two attempts",
          Effect.sync(() => failures().length >= 2),
        )
        yield* Fiber.interrupt(waiting)
      }).pipe(Effect.provide(recording)),
    )
    expect(lines.join("\n")).not.toContain("s3cret")
    return failures()[0]
  }

  it("is named in one line per attempt: where, which database, and why", async () => {
    const port = await freePort()
    const nobody = at(kit.fresh(), (url) => {
      url.port = String(port)
      url.password = "s3cret"
    })
    expect(await attempts(nobody)).toBe(
      `Database not reachable, trying again: 127.0.0.1:${port}, database holdfast: connection refused (ECONNREFUSED)`,
    )
  })

  it("may refuse the password or lack the database", async () => {
    const wrong = at(kit.fresh(), (url) => {
      url.password = "s3cret"
    })
    expect(await attempts(wrong)).toMatch(
      /login refused \(28P01: password authentication failed for user "holdfast"\)$/,
    )
    const missing = at(kit.fresh(), (url) => {
      url.pathname = "/nothing"
    })
    expect(await attempts(missing)).toMatch(/database missing \(3D000: database "nothing" does not exist\)$/)
  })

  it("is waited for", async () => {
    const config = kit.fresh()
    await kit.postgres().stop()
    const { lines, layer: recording } = recorder()
    const runtime = ManagedRuntime.make(Layer.provideMerge(Store.layer(config), recording))
    try {
      const served = runtime.runPromise(everything)
      await Effect.runPromise(
        eventually(
          "an attempt",
          Effect.sync(() => lines.length > 0),
        ),
      )
      await kit.postgres().restart()
      expect(await served).toEqual([])
      expect(lines).toContain(`Database reached: 127.0.0.1:${kit.postgres().port}, database holdfast`)
    } finally {
      await runtime.dispose()
    }
  }, 30_000)

  it("is refused when the address is none", async () => {
    for (const url of ["mysql://x", "", "postgres://user:s3cret@host:no-port/d"]) {
      const config = { ...kit.fresh(), url: Redacted.make(url) }
      const exit = await Effect.runPromiseExit(Effect.scoped(Layer.build(layer(config))))
      const error = Exit.isFailure(exit) && Cause.squash(exit.cause)
      expect(error).toMatchObject({ _tag: "FailedPrecondition" })
      expect(String(error)).not.toContain("s3cret")
    }
  })
})

describe("Postgres that goes away", () => {
  const kit = storeKit("postgres")

  it("makes calls fail with Unavailable, and serves again after its return without a restart of ours", async () => {
    const runtime = open(kit.fresh())
    try {
      await runtime.runPromise(everything)
      await kit.postgres().stop()
      const error = await runtime.runPromise(Effect.flip(everything))
      expect(error).toMatchObject({ _tag: "Unavailable" })
      expect(error.message).toMatch(/^database unavailable: connection /)
      const ping = await runtime.runPromise(
        Effect.flip(Effect.flatMap(Database, (database) => database.ping)),
      )
      expect(ping._tag).toBe("Unavailable")
      await kit.postgres().restart()
      await runtime.runPromise(Effect.retry(everything, { times: 100 }))
    } finally {
      await runtime.dispose()
    }
  }, 30_000)

  it("fails calls within their deadline while it is frozen, more of them than the pool holds, and recovers", async () => {
    const runtime = open(kit.fresh())
    try {
      const insert = Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox()))
      const inTransaction = Effect.flatMap(Database, (database) => database.transaction(insert))
      const calls = Array.from({ length: limits.databaseConnections * 3 }, (_, index) =>
        index % 2 === 0 ? insert : inTransaction,
      )
      await runtime.runPromise(insert)
      kit.postgres().freeze()
      const outcomes = await runtime.runPromise(
        Effect.all(calls.map(Effect.either), { concurrency: "unbounded" }).pipe(
          Effect.timeoutFail({ duration: patienceMs, onTimeout: () => new Error("a call hangs") }),
        ),
      )
      for (const outcome of outcomes)
        expect(outcome).toMatchObject({ _tag: "Left", left: { _tag: "Unavailable" } })
      kit.postgres().thaw()
      const recovered = Effect.all(
        Array.from({ length: limits.databaseConnections }, () => everything),
        {
          concurrency: "unbounded",
        },
      )
      await runtime.runPromise(
        eventually(
          "all connections work",
          Effect.map(Effect.either(recovered), (it) => it._tag === "Right"),
        ),
      )
    } finally {
      kit.postgres().thaw()
      await runtime.dispose()
    }
  }, 40_000)

  it("drops connections on which nothing comes back, and opens others", async () => {
    const hole = await openBlackHole(kit.postgres().port)
    const runtime = open(
      at(kit.fresh(), (url) => {
        url.port = String(hole.port)
      }),
    )
    try {
      await runtime.runPromise(
        Effect.all(
          Array.from({ length: 8 }, () => everything),
          { concurrency: "unbounded" },
        ),
      )
      hole.swallow()
      const first = await runtime.runPromise(Effect.flip(everything))
      expect(first._tag).toBe("Unavailable")
      // Without the watch these connections would swallow statements until TCP gives up, a quarter of an hour.
      const allWork = Effect.all(
        Array.from({ length: limits.databaseConnections }, () => everything),
        {
          concurrency: "unbounded",
        },
      )
      await runtime.runPromise(
        eventually(
          "all connections work",
          Effect.map(Effect.either(allWork), (it) => it._tag === "Right"),
          20_000,
        ),
      )
    } finally {
      await runtime.dispose()
      await hole.close()
    }
  }, 40_000)

  it("ends a transaction that its replica left open, so that row locks do not outlive a frozen owner", async () => {
    const config = kit.fresh()
    const frozen = open(config)
    try {
      const row = await frozen.runPromise(
        Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox())),
      )
      const halted = frozen.runPromiseExit(
        Effect.flatMap(SqlClient.SqlClient, (sql) =>
          sql.withTransaction(
            Effect.gen(function* () {
              yield* (yield* Sandboxes).update({ ...row, labels: { by: "frozen" } })
              yield* Effect.sleep(limits.databaseTransactionIdleMs * 2)
            }),
          ),
        ),
      )
      const successor = open(config)
      const update = Effect.flatMap(Sandboxes, (sandboxes) =>
        sandboxes.update({ ...row, labels: { by: "successor" } }),
      )
      await successor.runPromise(
        Effect.retry(update, { times: 20, while: (error) => error._tag === "Unavailable" }),
      )
      expect(Exit.isFailure(await halted)).toBe(true)
      await successor.dispose()
    } finally {
      await frozen.dispose()
    }
  }, 30_000)
})
