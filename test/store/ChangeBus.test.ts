import { Effect, Fiber, Stream } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { type Change, ChangeBus, ChangeFlags, type ChangeKind } from "../../src/store/ChangeBus.ts"

const kinds: ReadonlyArray<ChangeKind> = ["sandbox", "log", "event", "removed"]

describe("change flags", () => {
  it("report each kind of change of a sandbox once, however often it happened", () => {
    const flags = new ChangeFlags()
    for (let index = 0; index < 1_000; index++) flags.add({ kind: "log", sandboxId: "a" })
    flags.add({ kind: "sandbox", sandboxId: "a" })
    expect(flags.drain()).toEqual([
      { kind: "log", sandboxId: "a" },
      { kind: "sandbox", sandboxId: "a" },
    ])
    expect(flags.drain()).toEqual([])
  })

  it("hold one resync instead of more sandboxes than they may", () => {
    const flags = new ChangeFlags()
    for (let index = 0; index <= limits.changedSandboxes; index++)
      flags.add({ kind: "log", sandboxId: String(index) })
    expect(flags.drain()).toEqual([{ kind: "resync" }])
  })

  it("still tell of a removal after a resync", () => {
    const flags = new ChangeFlags()
    flags.add({ kind: "resync" })
    flags.add({ kind: "log", sandboxId: "a" })
    flags.add({ kind: "removed", sandboxId: "a" })
    expect(flags.drain()).toEqual([{ kind: "resync" }, { kind: "removed", sandboxId: "a" }])
  })

  it("lose nothing: what was added since the last drain is in the next one, or a resync is", () => {
    const change: fc.Arbitrary<Change> = fc.oneof(
      fc.record({ kind: fc.constantFrom(...kinds), sandboxId: fc.constantFrom("a", "b", "c") }),
      fc.constant({ kind: "resync" as const }),
    )
    const step = fc.oneof({ weight: 4, arbitrary: change }, { weight: 1, arbitrary: fc.constant("drain") })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const flags = new ChangeFlags()
        let since: Array<Change> = []
        for (const next of [...steps, "drain" as const]) {
          if (typeof next !== "string") {
            flags.add(next)
            since.push(next)
            continue
          }
          const drained = flags.drain()
          const resync = drained.some(({ kind }) => kind === "resync")
          expect(resync).toBe(since.some(({ kind }) => kind === "resync"))
          for (const added of since)
            if (!resync || added.kind === "resync") expect(drained).toContainEqual(added)
          expect(new Set(drained.map((one) => JSON.stringify(one))).size).toBe(drained.length)
          since = []
        }
      }),
    )
  })
})

describe("a change bus", () => {
  it("gives a sandbox's changes to its subscribers and all changes to those of everything", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const bus = new ChangeBus()
          const a = yield* bus.subscribe("a")
          const b = yield* bus.subscribe("b")
          const all = yield* bus.subscribeAll()
          const waiting = yield* Effect.fork(b.take)
          bus.publish({ kind: "sandbox", sandboxId: "a" })
          expect(yield* a.take).toEqual([{ kind: "sandbox", sandboxId: "a" }])
          bus.publish({ kind: "log", sandboxId: "b" })
          expect(yield* Fiber.join(waiting)).toEqual([{ kind: "log", sandboxId: "b" }])
          expect(yield* all.take).toEqual([
            { kind: "sandbox", sandboxId: "a" },
            { kind: "log", sandboxId: "b" },
          ])
          bus.publish({ kind: "resync" })
          for (const each of [a, b, all]) expect(yield* each.take).toEqual([{ kind: "resync" }])
        }),
      ),
    ))

  it("wakes all who wait on one subscription, and survives one that gives up", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const bus = new ChangeBus()
          const subscription = yield* bus.subscribe("a")
          const givingUp = yield* Effect.fork(subscription.take)
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(givingUp)
          const collected = yield* Effect.fork(
            Stream.runCollect(Stream.take(subscription.stream, 2)).pipe(Effect.map((chunk) => [...chunk])),
          )
          yield* Effect.yieldNow()
          bus.publish({ kind: "log", sandboxId: "a" })
          bus.publish({ kind: "removed", sandboxId: "a" })
          expect(yield* Fiber.join(collected)).toEqual([
            { kind: "log", sandboxId: "a" },
            { kind: "removed", sandboxId: "a" },
          ])
        }),
      ),
    ))

  it("forgets a subscriber whose scope has closed", async () => {
    const bus = new ChangeBus()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* bus.subscribe("a")
          yield* bus.subscribeAll()
          expect(bus.size).toBe(2)
        }),
      ),
    )
    expect(bus.size).toBe(0)
  })
})
