import { SqlClient } from "@effect/sql"
import { Deferred, Effect, Either, Fiber, Option } from "effect"
import { describe, expect, it } from "vitest"
import type { Fence } from "../../src/domain/Fence.ts"
import { Database } from "../../src/store/Database.ts"
import { Presences } from "../../src/store/Presences.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { aPresence, aSandbox, dialects, eventually, storeKit } from "../kit/Stores.ts"

/** What a replica does when it takes a shard: the next epoch, in one statement. */
const takeOver = (shard: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly epoch: number }>`
      INSERT INTO cluster_shards (shard_id, epoch, owner, acquired_at_ms) VALUES (${shard}, 1, 'test', 0)
      ON CONFLICT (shard_id) DO UPDATE SET epoch = cluster_shards.epoch + 1 RETURNING epoch`
    return { shard, epoch: rows[0]?.epoch ?? 0 } satisfies Fence
  })

describe.each(dialects)("fences on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("let the owner's epoch write and refuse every older one, which changes nothing", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const presences = yield* Presences
        const row = yield* sandboxes.insert(aSandbox())
        const old = yield* takeOver(7)
        const mine = yield* sandboxes.update({ ...row, labels: { by: "old" } }, old)
        const first = aPresence(row.id)
        yield* presences.put(first, old)
        const now = yield* takeOver(7)
        expect(now.epoch).toBe(old.epoch + 1)

        const stale = { _tag: "StaleEpoch", shard: 7, epoch: old.epoch, seen: now.epoch }
        const refused = [
          yield* Effect.flip(sandboxes.update({ ...mine, labels: { by: "stale" } }, old)),
          yield* Effect.flip(sandboxes.remove(row.id, old)),
          yield* Effect.flip(presences.put(aPresence(row.id), old)),
          yield* Effect.flip(presences.markLost(row.id, first.sessionId, 5, old)),
          yield* Effect.flip(presences.remove(row.id, old)),
          yield* Effect.flip(presences.put(aPresence("never stored"), old)),
        ]
        for (const error of refused) expect(error).toMatchObject(stale)
        expect(yield* sandboxes.get(row.id)).toEqual(Option.some(mine))
        expect(yield* presences.get(row.id)).toEqual(Option.some(first))
        expect(yield* presences.get("never stored")).toEqual(Option.none())

        yield* sandboxes.update({ ...mine, labels: { by: "new" } }, now)
        yield* presences.remove(row.id, now)
        expect(yield* presences.get(row.id)).toEqual(Option.none())
      }),
    ))

  it("tell a stale epoch, a conflict and a missing row apart, in that order", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const old = yield* takeOver(1)
        const now = yield* takeOver(1)
        const row = yield* sandboxes.insert(aSandbox())
        yield* sandboxes.update(row, now)
        const outdated = sandboxes.update(row, old)
        expect((yield* Effect.flip(outdated))._tag).toBe("StaleEpoch")
        expect((yield* Effect.flip(sandboxes.update(row, now)))._tag).toBe("Conflict")
        const missing = aSandbox({ resourceVersion: 1 })
        expect((yield* Effect.flip(sandboxes.update(missing, now)))._tag).toBe("NotFound")
        expect((yield* Effect.flip(sandboxes.remove(missing.id, now)))._tag).toBe("NotFound")
        expect((yield* Effect.flip(sandboxes.update(missing, old)))._tag).toBe("StaleEpoch")
        expect((yield* Effect.flip(sandboxes.update(row, { shard: 99, epoch: 1 })))._tag).toBe("StaleEpoch")
      }),
    ))

  it("let no write of a former owner through once its successor has read", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const { id } = yield* sandboxes.insert(aSandbox())
        let owner = yield* takeOver(3)
        let refusals = 0
        let writes = 0
        for (let round = 0; round < 25; round++) {
          const stop = yield* Deferred.make<void>()
          const former = owner
          const writer = Effect.gen(function* () {
            for (let attempt = 0; attempt < 2_000 && !(yield* Deferred.isDone(stop)); attempt++) {
              const row = Option.getOrThrow(yield* sandboxes.get(id))
              const outcome = yield* Effect.either(
                sandboxes.update({ ...row, annotations: { epoch: String(former.epoch) } }, former),
              )
              if (Either.isRight(outcome)) writes += 1
              else if (outcome.left._tag === "StaleEpoch") refusals += 1
            }
          })
          const writers = yield* Effect.fork(
            Effect.all([writer, writer, writer], { concurrency: "unbounded" }),
          )
          yield* Effect.sleep(round % 5)
          owner = yield* takeOver(3)
          const seen = Option.getOrThrow(yield* sandboxes.get(id))
          yield* Effect.sleep(3)
          yield* Deferred.succeed(stop, undefined)
          yield* Fiber.join(writers)
          expect(Option.getOrThrow(yield* sandboxes.get(id)).resourceVersion).toBe(seen.resourceVersion)
        }
        expect(writes).toBeGreaterThan(0)
        expect(refusals).toBeGreaterThan(0)
      }),
    ))

  it("undo the presence together with the sandbox when the epoch is stale", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const presences = yield* Presences
        const database = yield* Database
        const row = yield* sandboxes.insert(aSandbox())
        const owner = yield* takeOver(2)
        const attach = (fence: Fence) =>
          database.transaction(
            Effect.zipRight(
              presences.put(aPresence(row.id), owner),
              sandboxes.update({ ...row, labels: { a: "1" } }, fence),
            ),
          )
        const refused = yield* Effect.flip(attach({ shard: 2, epoch: owner.epoch + 1 }))
        expect(refused._tag).toBe("StaleEpoch")
        expect(yield* presences.get(row.id)).toEqual(Option.none())
        yield* attach(owner)
        expect(Option.isSome(yield* presences.get(row.id))).toBe(true)
      }),
    ))
})

describe("fences between two Postgres sessions", () => {
  const kit = storeKit("postgres")

  const waitingForLock = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows =
      yield* sql`SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%cluster_shards%'`
    return rows.length > 0
  })

  it("hold a stale write until the takeover commits, and then refuse it", () =>
    kit.run(
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const sandboxes = yield* Sandboxes
        const row = yield* sandboxes.insert(aSandbox())
        const owner = yield* takeOver(5)
        const taken = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const taking = yield* Effect.fork(
          sql.withTransaction(
            takeOver(5).pipe(
              Effect.zipRight(Deferred.succeed(taken, undefined)),
              Effect.zipRight(Deferred.await(release)),
            ),
          ),
        )
        yield* Deferred.await(taken)
        const stale = yield* Effect.fork(Effect.either(sandboxes.update(row, owner)))
        yield* eventually("the stale write waits", waitingForLock, 800)
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(taking)
        const outcome = yield* Fiber.join(stale)
        expect(Either.isLeft(outcome) && outcome.left._tag).toBe("StaleEpoch")
        expect(yield* sandboxes.get(row.id)).toEqual(Option.some(row))
      }),
    ))

  it("hold a takeover until a write under the old epoch commits", () =>
    kit.run(
      Effect.gen(function* () {
        const database = yield* Database
        const sandboxes = yield* Sandboxes
        const row = yield* sandboxes.insert(aSandbox())
        const owner = yield* takeOver(6)
        const written = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const writing = yield* Effect.fork(
          database.transaction(
            Effect.gen(function* () {
              yield* sandboxes.update(row, owner)
              yield* Deferred.succeed(written, undefined)
              yield* Deferred.await(release)
            }),
          ),
        )
        yield* Deferred.await(written)
        const taking = yield* Effect.fork(takeOver(6))
        yield* eventually("the takeover waits", waitingForLock, 800)
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(writing)
        expect((yield* Fiber.join(taking)).epoch).toBe(owner.epoch + 1)
        expect(Option.getOrThrow(yield* sandboxes.get(row.id)).resourceVersion).toBe(2)
      }),
    ))
})
