import { SqlError } from "@effect/sql/SqlError"
import { Deferred, Effect, Fiber, Option } from "effect"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Database } from "../../src/store/Database.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { type Key, shared } from "../../src/store/SharedStatements.ts"
import { aSandbox, runWith, storeKit } from "../kit/Stores.ts"

type Name = readonly [name: string]

const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** A table in memory: counts statements, and holds each until it is let go. */
const tableOf = (rows: Map<string, number>) => {
  const asked: Array<{ readonly keys: ReadonlyArray<Key>; readonly letGo: Effect.Effect<unknown> }> = []
  const read = shared<Name, number>({
    operation: "test read",
    keyOf: (name) => name,
    one: ([name]) => Effect.succeed(Option.fromNullable(rows.get(name))),
    many: (keys) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        asked.push({ keys, letGo: Deferred.succeed(gate, undefined) })
        // What a statement sees is what was committed when it was sent.
        const found = keys.flatMap(([name]) => {
          const value = rows.get(name)
          return value === undefined ? [] : [[[name], value] as const]
        })
        yield* Deferred.await(gate)
        return found
      }),
  })
  const until = (count: number) => Effect.repeat(turn, { until: () => asked.length >= count })
  return { asked, read, until }
}

describe("shared statements on postgres", () => {
  const kit = storeKit("postgres")

  it("answers all who ask in one turn by one statement, each with its own record", () =>
    kit.run(
      Effect.gen(function* () {
        const table = tableOf(new Map([["a", 1]]).set("b", 2))
        const read = yield* table.read
        const names = ["a", "b", "missing", "a"]
        const answers = yield* Effect.fork(
          Effect.forEach(names, (name) => read([name]), { concurrency: "unbounded" }),
        )
        yield* table.until(1)
        yield* table.asked[0]?.letGo ?? Effect.void
        expect(yield* Fiber.join(answers)).toEqual([
          Option.some(1),
          Option.some(2),
          Option.none(),
          Option.some(1),
        ])
        expect(table.asked.map(({ keys }) => keys)).toEqual([[["a"], ["b"], ["missing"]]])
      }),
    ))

  it("never answers by a statement that was sent before the question", () =>
    kit.run(
      Effect.gen(function* () {
        const rows = new Map([["a", 0]])
        const table = tableOf(rows)
        const read = yield* table.read
        const asked: Array<Fiber.Fiber<Option.Option<number>, unknown>> = []
        // As many statements as may be under way, sent while the value was 0, 1, …
        for (let sent = 0; sent < limits.sharedStatements; sent++) {
          rows.set("a", sent)
          asked.push(yield* Effect.fork(read(["a"])))
          yield* table.until(sent + 1)
        }
        rows.set("a", 99)
        const late = yield* Effect.fork(read(["a"]))
        const later = yield* Effect.fork(read(["a"]))
        yield* turn
        yield* turn
        expect(table.asked).toHaveLength(limits.sharedStatements)
        yield* Effect.forEach(table.asked, ({ letGo }) => letGo)
        yield* table.until(limits.sharedStatements + 1)
        yield* table.asked.at(-1)?.letGo ?? Effect.void
        expect(yield* Fiber.join(late)).toEqual(Option.some(99))
        expect(yield* Fiber.join(later)).toEqual(Option.some(99))
        expect(yield* Effect.forEach(asked, Fiber.join)).toEqual(asked.map((_, at) => Option.some(at)))
        expect(table.asked).toHaveLength(limits.sharedStatements + 1)
      }),
    ))

  it("fails with Unavailable in time for all who wait when statements get no answer, and then serves again", () =>
    kit.run(
      Effect.gen(function* () {
        const table = tableOf(new Map([["a", 1]]))
        const read = yield* table.read
        for (let sent = 0; sent < limits.sharedStatements; sent++) {
          yield* Effect.fork(Effect.ignore(read(["a"])))
          yield* table.until(sent + 1)
        }
        expect(yield* Effect.flip(read(["a"]))).toMatchObject({ _tag: "Unavailable" })
        const sent = table.asked.length
        const again = yield* Effect.fork(read(["a"]))
        yield* table.until(sent + 1)
        yield* Effect.forEach(table.asked, ({ letGo }) => letGo)
        expect(yield* Fiber.join(again)).toEqual(Option.some(1))
      }),
    ))

  it("lets one unreadable record fail only those who ask for it", () =>
    kit.run(
      Effect.gen(function* () {
        const unreadable = new SqlError({ cause: new Error("a row of another world") })
        const read = yield* shared<Name, string>({
          operation: "test read",
          keyOf: (name) => name,
          one: ([name]) => (name === "bad" ? Effect.fail(unreadable) : Effect.succeed(Option.some(name))),
          many: () => Effect.fail(unreadable),
        })
        const [good, bad] = yield* Effect.all([read(["good"]), Effect.exit(read(["bad"]))], {
          concurrency: "unbounded",
        })
        expect(good).toEqual(Option.some("good"))
        expect(bad._tag).toBe("Failure")
      }),
    ))

  it("sees in a transaction what it has written, and outside only what is committed", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const database = yield* Database
        const written = yield* Deferred.make<void>()
        const looked = yield* Deferred.make<void>()
        const inside = yield* Effect.fork(
          database.transaction(
            Effect.gen(function* () {
              yield* sandboxes.insert(aSandbox({ id: "new", name: "new" }))
              const found = yield* sandboxes.getByName("default", "new")
              yield* Deferred.succeed(written, undefined)
              yield* Deferred.await(looked)
              return found
            }),
          ),
        )
        yield* Deferred.await(written)
        expect(yield* sandboxes.getByName("default", "new")).toEqual(Option.none())
        yield* Deferred.succeed(looked, undefined)
        expect(Option.isSome(yield* Fiber.join(inside))).toBe(true)
        expect(Option.isSome(yield* sandboxes.get("new"))).toBe(true)
      }),
    ))

  it("takes a name with a zero character for unknown, and keeps names apart whatever they hold", () =>
    kit.run(
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        yield* sandboxes.insert(aSandbox({ id: "one", name: 'a","b' }))
        const found = yield* Effect.forEach(
          [
            ["default", 'a","b'],
            ['default","a', "b"],
            ["default", "a\0"],
          ] as const,
          ([workspace, name]) => sandboxes.getByName(workspace, name),
          { concurrency: "unbounded" },
        )
        expect(found.map(Option.isSome)).toEqual([true, false, false])
      }),
    ))

  it("shows on every replica what another has acknowledged, while both are busy reading", () => {
    const config = kit.fresh()
    const busy = <A, E>(work: Effect.Effect<A, E, Sandboxes>) =>
      Effect.gen(function* () {
        const sandboxes = yield* Sandboxes
        const noise = yield* Effect.forkAll(
          Array.from({ length: 16 }, () => Effect.forever(sandboxes.get("counted"))),
        )
        return yield* Effect.ensuring(work, Fiber.interrupt(noise))
      })
    let acknowledged = 1
    let done = false
    const writer = runWith(
      config,
      Effect.flatMap(Sandboxes, (sandboxes) =>
        busy(
          Effect.gen(function* () {
            let current = yield* sandboxes.insert(aSandbox({ id: "counted" }))
            for (let turns = 0; turns < 50; turns++) {
              current = yield* sandboxes.update(current)
              acknowledged = current.resourceVersion
            }
          }),
        ).pipe(
          Effect.ensuring(
            Effect.sync(() => {
              done = true
            }),
          ),
        ),
      ),
    )
    const reader = runWith(
      config,
      Effect.flatMap(Sandboxes, (sandboxes) =>
        busy(
          Effect.gen(function* () {
            while (!done) {
              const least = acknowledged
              const found = yield* sandboxes.get("counted")
              if (Option.isSome(found)) expect(found.value.resourceVersion).toBeGreaterThanOrEqual(least)
              else expect(least).toBe(1)
            }
          }),
        ),
      ),
    )
    return Promise.all([writer, reader])
  })
})
