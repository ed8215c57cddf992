import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { Membership } from "../../src/cluster/Membership.ts"
import { makeFenceCheck, Ownership } from "../../src/cluster/Ownership.ts"
import { Unavailable } from "../../src/domain/Errors.ts"
import { limits } from "../../src/domain/Limits.ts"
import { makeAttachQueue } from "../../src/edge/AttachQueue.ts"
import { OwnerHints } from "../../src/edge/OwnerHints.ts"
import { PeerArrivals } from "../../src/edge/PeerArrivals.ts"
import { type Arrival, type ArrivalAnswer, Arrivals } from "../../src/sandbox/Arrivals.ts"
import { SessionGone } from "../../src/sandbox/Edges.ts"
import { SandboxActors } from "../../src/sandbox/SandboxActors.ts"
import { edgeServices } from "./EdgeServices.ts"

const own = 1
const theirs = 2
const unknown = 3

const accepted = (arrival: Arrival): ArrivalAnswer => ({
  _tag: "Accepted",
  epoch: 1,
  shard: arrival.shard,
  moved: false,
})

interface Doubles {
  readonly attachAll?: (arrivals: ReadonlyArray<Arrival>) => Effect.Effect<ReadonlyArray<ArrivalAnswer>>
  readonly attachAtPeer?: (
    arrivals: ReadonlyArray<Arrival>,
  ) => Effect.Effect<ReadonlyArray<ArrivalAnswer>, SessionGone>
  readonly membership?: Membership["Type"]
}

/** The queue between owners that answer as told. Sandboxes are named by their shard: `2/a` is of shard 2. */
const queueOver = (doubles: Doubles, asked: Array<string> = []) => {
  const all = (arrivals: ReadonlyArray<Arrival>) => Effect.succeed(arrivals.map(accepted))
  return makeAttachQueue.pipe(
    Effect.provide(
      Layer.mergeAll(
        edgeServices,
        doubles.membership === undefined ? Layer.empty : Layer.succeed(Membership, doubles.membership),
        Layer.succeed(Ownership, {
          fence: makeFenceCheck(new Map([[own, 1]]), () => false),
          held: Effect.succeed(new Map()),
          proofAgeMs: () => 0,
        }),
        Layer.succeed(Arrivals, { attachAll: doubles.attachAll ?? all }),
        Layer.succeed(PeerArrivals, { attach: (_, arrivals) => (doubles.attachAtPeer ?? all)(arrivals) }),
        Layer.succeed(OwnerHints, {
          ownerOf: (shard) => (shard === theirs ? "other/1" : undefined),
          learn: () => undefined,
        }),
        Layer.succeed(SandboxActors, {
          ask: (sandboxId) =>
            Effect.suspend(() => {
              asked.push(sandboxId)
              return Effect.fail(new Unavailable({ message: "no actors here" }))
            }),
          shardOf: (sandboxId) => Number(sandboxId.split("/")[0]),
        }),
      ),
    ),
  )
}

const claim = {
  sessionId: "s",
  instanceId: "i",
  instanceStartedAtMs: 1,
  connectionEpoch: 1,
  replica: "here/1",
}

describe("the queue of attaches", () => {
  it.scoped("sends those of one owner together, and as many at once as a batch holds", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      const attachAll = (arrivals: ReadonlyArray<Arrival>) =>
        Effect.delay(
          Effect.sync(() => {
            sizes.push(arrivals.length)
            return arrivals.map(accepted)
          }),
          5,
        )
      const queue = yield* queueOver({ attachAll })
      const fibers = yield* Effect.forEach(Array.from({ length: 1_000 }), (_, at) =>
        Effect.fork(queue.attach(`${own}/${at}`, claim)),
      )
      yield* TestClock.adjust(1_000)
      for (const answer of yield* Fiber.join(Fiber.all(fibers))) expect(answer._tag).toBe("Accepted")
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(1_000)
      expect(Math.max(...sizes)).toBe(limits.attachBatch)
      expect(sizes.length).toBeLessThan(30)
    }),
  )

  it.scoped("asks the other replica for the sandboxes it owns, and the actor where no owner is known", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const sent: Array<string> = []
      const queue = yield* queueOver(
        {
          attachAtPeer: (arrivals) =>
            Effect.sync(() => {
              sent.push(...arrivals.map(({ sandboxId }) => sandboxId))
              return arrivals.map(accepted)
            }),
        },
        asked,
      )
      for (const id of [`${own}/a`, `${theirs}/b`, `${unknown}/c`])
        yield* Effect.fork(queue.attach(id, claim))
      yield* TestClock.adjust(1)
      expect(sent).toEqual([`${theirs}/b`])
      expect(asked).toEqual([`${unknown}/c`])
    }),
  )

  it.scoped("asks the actor itself when there is more to an attach", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const queue = yield* queueOver(
        { attachAll: (arrivals) => Effect.succeed(arrivals.map(() => ({ _tag: "AskActor" }))) },
        asked,
      )
      yield* Effect.fork(queue.attach(`${own}/a`, claim))
      yield* TestClock.adjust(1)
      expect(asked).toEqual([`${own}/a`])
    }),
  )

  it.scoped("looks for the owner again while the one it knew is gone, and in the end asks the cluster", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const queue = yield* queueOver(
        { attachAtPeer: () => Effect.fail(new SessionGone({ message: "gone" })) },
        asked,
      )
      yield* Effect.fork(queue.attach(`${theirs}/a`, claim))
      yield* TestClock.adjust(limits.attachElsewhereMs * (limits.attachElsewhere - 1))
      expect(asked).toEqual([])
      yield* TestClock.adjust(limits.attachElsewhereMs * 2)
      expect(asked[0]).toBe(`${theirs}/a`)
    }),
  )

  it.scoped("looks for the owner again at once when a replica came or left", () =>
    Effect.gen(function* () {
      const membership = yield* Membership
      let tries = 0
      const attachAtPeer = () =>
        Effect.suspend(() => {
          tries += 1
          return Effect.fail(new SessionGone({ message: "gone" }))
        })
      const queue = yield* queueOver({ attachAtPeer, membership })
      yield* Effect.fork(queue.attach(`${theirs}/a`, claim))
      yield* TestClock.adjust(limits.attachGatherMs)
      expect(tries).toBe(1)
      yield* membership.update([
        {
          ...{ name: "new", incarnation: "new/1", machineId: 1, host: "127.0.0.1", port: 1, url: "" },
          ...{ version: "0", startedAtMs: 0, live: true, draining: false },
        },
      ])
      yield* TestClock.adjust(limits.attachGatherMs)
      expect(tries).toBe(2)
    }).pipe(Effect.provide(Membership.layer)),
  )

  it.scoped("tells a supervisor when to come back instead of letting it wait for longer than it would", () =>
    Effect.gen(function* () {
      const attachAll = (arrivals: ReadonlyArray<Arrival>) =>
        Effect.delay(Effect.succeed(arrivals.map(accepted)), 8_000)
      const queue = yield* queueOver({ attachAll })
      const attach = (at: number) => Effect.fork(queue.attach(`${own}/${at}`, claim))
      const first = yield* Effect.forEach(Array.from({ length: 2_000 }), (_, at) => attach(at))
      yield* TestClock.adjust(33_000)
      const late = yield* Effect.forEach(Array.from({ length: 4_000 }), (_, at) => attach(at + 2_000))
      yield* TestClock.adjust(400_000)
      yield* Fiber.join(Fiber.all(first))
      const queued = (yield* Fiber.join(Fiber.all(late))).flatMap((answer) =>
        answer._tag === "Queued" ? [answer] : [],
      )
      expect(queued.length).toBeGreaterThan(2_000)
      for (const { delayMs } of queued) expect(delayMs).toBeGreaterThan(limits.attachQueueMs)
    }),
  )

  it.scoped("does nothing for a supervisor that left while it waited", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const attachAll = (arrivals: ReadonlyArray<Arrival>) =>
        Effect.delay(
          Effect.sync(() => {
            seen.push(...arrivals.map(({ sandboxId }) => sandboxId))
            return arrivals.map(accepted)
          }),
          10,
        )
      const queue = yield* queueOver({ attachAll })
      const busy = yield* Effect.forEach(Array.from({ length: limits.attachBatch * 5 }), (_, at) =>
        Effect.fork(queue.attach(`${own}/${at}`, claim)),
      )
      yield* TestClock.adjust(1)
      const gone = yield* Effect.fork(queue.attach(`${own}/gone`, claim))
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(Fiber.all(busy))
      expect(seen).not.toContain(`${own}/gone`)
      expect(seen.length).toBe(limits.attachBatch * 5)
    }),
  )
})
