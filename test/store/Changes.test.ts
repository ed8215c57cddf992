import { Effect, Layer, ManagedRuntime } from "effect"
import { describe, expect, it } from "vitest"
import { type Change, Changes, type Subscription } from "../../src/store/Changes.ts"
import { Database, type DatabaseConfig } from "../../src/store/Database.ts"
import { Events } from "../../src/store/Events.ts"
import { Logs } from "../../src/store/Logs.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { schemaName } from "../../src/store/SchemaName.ts"
import * as Store from "../../src/store/Store.ts"
import { aLine, anEvent, aSandbox, dialects, quiet, storeKit } from "../kit/Stores.ts"

/** Another replica on the same database. */
const replica = (config: DatabaseConfig) =>
  ManagedRuntime.make(Layer.provideMerge(Store.layer(config), quiet))

/** Takes until all of these have come; other changes on the way are kept out. */
const awaitChanges = (subscription: Subscription, expected: ReadonlyArray<Change>) =>
  Effect.gen(function* () {
    const missing = new Set(expected.map((change) => JSON.stringify(change)))
    while (missing.size > 0)
      for (const change of yield* subscription.take) missing.delete(JSON.stringify(change))
  }).pipe(
    Effect.timeoutFail({
      duration: 10_000,
      onTimeout: () => new Error(`did not see ${JSON.stringify(expected)}`),
    }),
  )

describe.each(dialects)("changes on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("announce each kind of write to subscribers of that sandbox only", () =>
    kit.run(
      Effect.scoped(
        Effect.gen(function* () {
          const changes = yield* Changes
          const sandboxes = yield* Sandboxes
          const logs = yield* Logs
          const events = yield* Events
          const sandbox = aSandbox()
          const { id } = sandbox
          const foreign = yield* changes.subscribe("foreign")
          const mine = yield* changes.subscribe(id)
          const row = yield* sandboxes.insert(sandbox)
          yield* awaitChanges(mine, [{ kind: "sandbox", sandboxId: id }])
          yield* sandboxes.update(row)
          yield* awaitChanges(mine, [{ kind: "sandbox", sandboxId: id }])
          yield* logs.append(id, [aLine(id)])
          yield* awaitChanges(mine, [{ kind: "log", sandboxId: id }])
          yield* events.append(id, anEvent())
          yield* awaitChanges(mine, [{ kind: "event", sandboxId: id }])
          yield* sandboxes.remove(id)
          yield* awaitChanges(mine, [{ kind: "removed", sandboxId: id }])
          expect(yield* Effect.timeoutOption(foreign.take, 50)).toMatchObject({ _tag: "None" })
        }),
      ),
    ))

  it("announce nothing for a write that was refused or rolled back", () =>
    kit.run(
      Effect.scoped(
        Effect.gen(function* () {
          const changes = yield* Changes
          const database = yield* Database
          const sandboxes = yield* Sandboxes
          const row = yield* sandboxes.insert(aSandbox())
          const other = yield* sandboxes.insert(aSandbox())
          const mine = yield* changes.subscribe(row.id)
          const last = yield* changes.subscribe(other.id)
          // The insert's own notification may still be on its way.
          yield* sandboxes.update(other)
          yield* awaitChanges(last, [{ kind: "sandbox", sandboxId: other.id }])
          yield* Effect.timeoutOption(mine.take, 1)
          yield* Effect.flip(sandboxes.update({ ...row, resourceVersion: 9 }))
          yield* Effect.flip(
            database.transaction(Effect.zipRight(sandboxes.update(row), Effect.fail("rolled back"))),
          )
          yield* sandboxes.remove(other.id)
          yield* awaitChanges(last, [{ kind: "removed", sandboxId: other.id }])
          expect(yield* Effect.timeoutOption(mine.take, 1)).toMatchObject({ _tag: "None" })
        }),
      ),
    ))
})

describe("changes between replicas on Postgres", () => {
  const kit = storeKit("postgres")

  const pair = async (config: DatabaseConfig) => {
    const [a, b] = [replica(config), replica(config)]
    // One after the other: this is not the test of concurrent migration.
    await a.runPromise(Effect.void)
    await b.runPromise(Effect.void)
    return { a, b, close: () => Promise.all([a.dispose(), b.dispose()]) }
  }

  it("reach every replica, and no other cluster in the same database", async () => {
    const config = kit.fresh()
    const { a, b, close } = await pair(config)
    const stranger = replica(kit.fresh())
    try {
      const sandbox = aSandbox()
      const expected = [{ kind: "sandbox", sandboxId: sandbox.id }] as const
      const watch = (ready: () => void) =>
        Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* (yield* Changes).subscribe(sandbox.id)
            ready()
            yield* awaitChanges(subscription, expected)
            return "seen"
          }),
        )
      let strangerSaw = false
      await new Promise<void>((resolve) => {
        stranger.runFork(
          Effect.scoped(
            Effect.gen(function* () {
              const subscription = yield* (yield* Changes).subscribe(sandbox.id)
              resolve()
              yield* subscription.take
              strangerSaw = true
            }),
          ),
        )
      })
      const seen: Array<Promise<string>> = []
      for (const node of [a, b])
        await new Promise<void>((resolve) => seen.push(node.runPromise(watch(resolve))))
      await a.runPromise(Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(sandbox)))
      expect(await Promise.all(seen)).toEqual(["seen", "seen"])
      expect(strangerSaw).toBe(false)
    } finally {
      await Promise.all([close(), stranger.dispose()])
    }
  })

  const listeners = (config: DatabaseConfig) =>
    `SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN "${schemaName(config.clusterId)}"'`

  it("come again by themselves after the listening backend was terminated, beginning with a resync", async () => {
    const config = kit.fresh()
    const postgres = kit.postgres()
    const node = replica(config)
    try {
      const sandbox = aSandbox()
      await node.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* (yield* Changes).subscribe(sandbox.id)
            const killed = yield* Effect.promise(() =>
              postgres.query(`SELECT pg_terminate_backend(pid) FROM (${listeners(config)}) AS one`),
            )
            expect(killed).toHaveLength(1)
            yield* awaitChanges(subscription, [{ kind: "resync" }])
            yield* Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(sandbox))
            yield* awaitChanges(subscription, [{ kind: "sandbox", sandboxId: sandbox.id }])
          }),
        ),
      )
      expect(await postgres.query(listeners(config))).toHaveLength(1)
    } finally {
      await node.dispose()
    }
    // The connection ends with its process' layer, not some time later.
    for (let left = 1, attempt = 0; left > 0 && attempt < 200; attempt++)
      left = (await postgres.query(listeners(config))).length
    expect(await postgres.query(listeners(config))).toHaveLength(0)
  })

  it("survive a restart of the server", async () => {
    const config = kit.fresh()
    const node = replica(config)
    try {
      const sandbox = aSandbox()
      await node.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* (yield* Changes).subscribe(sandbox.id)
            yield* Effect.promise(() => kit.postgres().restart())
            yield* awaitChanges(subscription, [{ kind: "resync" }])
            const sandboxes = yield* Sandboxes
            yield* Effect.retry(sandboxes.insert(sandbox), { times: 50 })
            yield* awaitChanges(subscription, [{ kind: "sandbox", sandboxId: sandbox.id }])
          }),
        ),
      )
    } finally {
      await node.dispose()
    }
  }, 30_000)

  it("cost no statements while nothing changes", async () => {
    const config = { ...kit.fresh(), applicationName: "idle" }
    const node = replica(config)
    try {
      await node.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const changes = yield* Changes
            for (let index = 0; index < 500; index++) yield* changes.subscribe(`s${index}`)
            const lastStatement = Effect.promise(() =>
              kit
                .postgres()
                .query(
                  "SELECT pid, query_start::text FROM pg_stat_activity WHERE application_name LIKE 'idle%' ORDER BY pid",
                ),
            )
            const before = yield* lastStatement
            expect(before.length).toBeGreaterThan(0)
            yield* Effect.sleep(300)
            expect(yield* lastStatement).toEqual(before)
          }),
        ),
      )
    } finally {
      await node.dispose()
    }
  })

  it("treat a notification they do not understand as a resync", async () => {
    const config = kit.fresh()
    const node = replica(config)
    try {
      await node.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* (yield* Changes).subscribe("any")
            yield* Effect.promise(() =>
              kit
                .postgres()
                .query('SELECT pg_notify($1, \'{"k":"new kind"}\')', [schemaName(config.clusterId)]),
            )
            yield* awaitChanges(subscription, [{ kind: "resync" }])
          }),
        ),
      )
    } finally {
      await node.dispose()
    }
  })
})
