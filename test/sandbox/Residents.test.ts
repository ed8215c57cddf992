import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Residents } from "../../src/sandbox/Residents.ts"

const freeOf = (residents: Residents["Type"], ...ids: ReadonlyArray<string>) =>
  residents.without(ids, (free) => Effect.succeed([...free]))

it.effect("of those who act for a sandbox without its actor, only one does so at a time", () =>
  Effect.gen(function* () {
    const residents = yield* Residents
    const over = yield* Deferred.make<void>()
    const first = yield* Effect.fork(
      residents.without(["a", "b"], (free) => Effect.as(Deferred.await(over), [...free])),
    )
    yield* Effect.yieldNow()
    expect(yield* freeOf(residents, "b", "c")).toEqual(["c"])
    yield* Deferred.succeed(over, undefined)
    expect(yield* Fiber.join(first)).toEqual(["a", "b"])
    expect(yield* freeOf(residents, "b", "c")).toEqual(["b", "c"])
  }).pipe(Effect.provide(Residents.layer)),
)

it.effect("an actor waits for whoever acts for its sandbox, and keeps others away as long as it lives", () =>
  Effect.gen(function* () {
    const residents = yield* Residents
    const over = yield* Deferred.make<void>()
    const acting = yield* Effect.fork(residents.without(["a"], () => Deferred.await(over)))
    yield* Effect.yieldNow()
    yield* Effect.scoped(
      Effect.gen(function* () {
        const entering = yield* Effect.forkScoped(residents.enter("a"))
        yield* Effect.yieldNow()
        expect(entering.unsafePoll()).toBeNull()
        yield* Deferred.succeed(over, undefined)
        yield* Fiber.join(acting)
        yield* Fiber.join(entering)
      }),
    )
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* residents.enter("a")
        expect(yield* freeOf(residents, "a")).toEqual([])
      }),
    )
    expect(yield* freeOf(residents, "a")).toEqual(["a"])
  }).pipe(Effect.provide(Residents.layer)),
)
