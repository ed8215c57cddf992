/** What steering asks of which session, with the other replicas played by their statistics and time at a touch. */
import { PassThrough } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { ClusterConfig } from "../../src/cluster/ClusterConfig.ts"
import { type Member, Membership } from "../../src/cluster/Membership.ts"
import { Unavailable } from "../../src/domain/Errors.ts"
import { limits } from "../../src/domain/Limits.ts"
import { monotonicMs } from "../../src/domain/Monotonic.ts"
import type { SupervisorCapabilities } from "../../src/domain/Session.ts"
import type { EdgeStats } from "../../src/edge/EdgeRpcs.ts"
import { EdgeStatistics } from "../../src/edge/EdgeStatistics.ts"
import { LocalEdge } from "../../src/edge/LocalEdge.ts"
import { OwnerHints } from "../../src/edge/OwnerHints.ts"
import { Session } from "../../src/edge/Session.ts"
import { Steering } from "../../src/edge/Steering.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { session as sessionMethods } from "../../src/wire/openshell-v1/Session.ts"
import { edgeServices } from "./EdgeServices.ts"

const own = "one/1"

const member = (incarnation: string, draining = false): Member => ({
  name: incarnation,
  incarnation,
  machineId: 1,
  host: "127.0.0.1",
  port: 1,
  url: `http://${incarnation}`,
  version: "0",
  startedAtMs: 0,
  live: true,
  draining,
})

const peer = (part: Partial<EdgeStats>): EdgeStats => ({
  sessions: 0,
  relays: 0,
  shards: [],
  draining: false,
  settling: false,
  heading: {},
  remaining: 0,
  ...part,
})

const capabilities: SupervisorCapabilities = {
  connectionEpoch: 1,
  instanceStartedAtMs: 0,
  resume: false,
  redirect: true,
  fence: false,
  exec: false,
  configPush: false,
  liveChannelIds: [],
}

interface Play {
  readonly edge: LocalEdge["Type"]
  /** What the others say; a replica without an entry does not answer. */
  readonly peers: Map<string, EdgeStats>
  readonly moved: Metrics["Type"]
  readonly add: (count: number, redirect?: boolean) => ReadonlyArray<Session>
}

const played = (members: ReadonlyArray<Member>, f: (play: Play) => Effect.Effect<void>) => {
  const peers = new Map<string, EdgeStats>()
  const statistics = Layer.effect(
    EdgeStatistics,
    Effect.map(LocalEdge, (edge) => ({
      of: (replica: string) => {
        const stats = peers.get(replica)
        if (replica === own) return edge.stats
        return stats === undefined ? Effect.fail(new Unavailable({ message: "gone" })) : Effect.succeed(stats)
      },
    })),
  )
  const layer = Steering.layer.pipe(
    Layer.provideMerge(statistics),
    Layer.provideMerge(Layer.merge(LocalEdge.layer, OwnerHints.layer)),
    Layer.provideMerge(edgeServices),
  )
  return Effect.gen(function* () {
    const membership = yield* Membership
    const edge = yield* LocalEdge
    yield* Steering
    yield* membership.update(members)
    const config = yield* ClusterConfig
    expect(config.incarnation).toBe(own)
    let counter = 0
    const add = (count: number, redirect = true) =>
      Array.from({ length: count }, () => {
        counter += 1
        const call = { stream: new PassThrough().resume(), sendHeaders: () => {}, finish: () => {} }
        const session = new Session(
          `sandbox-${counter}`,
          `session-${counter}`,
          redirect ? capabilities : undefined,
          call,
          sessionMethods.connect.encodeResponse,
        )
        session.accept(1, "one", 0)
        session.acceptedAtMs = 0
        edge.addSession(session)
        return session
      })
    yield* f({ edge, peers, moved: yield* Metrics, add })
  }).pipe(Effect.provide(layer), Effect.scoped)
}

const second = TestClock.adjust(limits.steerIntervalMs)

const targets = (sessions: ReadonlyArray<Session>) => sessions.flatMap(({ asked }) => asked?.to ?? [])

describe("steering", () => {
  it.effect(
    "sends what is too much to the emptiest that answer, never to one that drains, in small numbers",
    () =>
      played([member(own), member("two"), member("three", true), member("four")], ({ peers, add }) =>
        Effect.gen(function* () {
          const sessions = add(200)
          peers.set("two", peer({}))
          peers.set("three", peer({}))
          yield* second
          // 5 % a round, one after another; the second round may have begun.
          expect(targets(sessions).length).toBeGreaterThanOrEqual(10)
          expect(targets(sessions).length).toBeLessThan(20)
          expect(new Set(targets(sessions))).toEqual(new Set(["two"]))
        }),
      ),
  )

  it.effect("never asks a supervisor that cannot follow", () =>
    played([member(own), member("two")], ({ peers, add }) =>
      Effect.gen(function* () {
        const plain = add(50, false)
        const ours = add(3)
        peers.set("two", peer({}))
        for (let n = 0; n < 10; n++) yield* second
        expect(targets(plain)).toEqual([])
        expect(targets(ours)).toEqual(["two", "two", "two"])
      }),
    ),
  )

  it.effect("counts a session that does not go as failed, and leaves its sandbox alone for a while", () =>
    played([member(own), member("two")], ({ edge, peers, moved, add }) =>
      Effect.gen(function* () {
        const sessions = add(4)
        peers.set("two", peer({}))
        yield* second
        expect(targets(sessions).length).toBe(2)
        expect((yield* edge.stats).heading).toEqual({ two: 2 })
        const first = new Set(sessions.filter(({ asked }) => asked !== undefined))
        yield* TestClock.adjust(limits.moveConfirmMs + limits.steerIntervalMs)
        expect((yield* Effect.promise(() => moved.sessionMovesFailed.get())).values[0]?.value).toBe(2)
        const asked = sessions.filter((session) => !first.has(session) && session.asked !== undefined)
        expect(asked.length).toBe(2)
        const at = [...first].map((session) => session.asked?.atMs)
        yield* TestClock.adjust(limits.moveConfirmMs + limits.steerIntervalMs)
        expect([...first].map((session) => session.asked?.atMs)).toEqual(at)
        yield* TestClock.adjust(limits.moveAgainMs)
        expect([...first].some((session) => (session.asked?.atMs ?? 0) > (at[0] ?? 0))).toBe(true)
      }),
    ),
  )

  it.effect("brings a session home once, when it has been there for a while and was not sent here", () =>
    played([member(own), member("two")], ({ peers, add }) =>
      Effect.gen(function* () {
        const [chance, sent] = add(2)
        if (sent !== undefined) sent.moved = true
        // The owner of every sandbox of this test's actors, with room for one more.
        peers.set("two", peer({ sessions: 1, shards: [7] }))
        yield* second
        expect([chance?.asked, sent?.asked]).toEqual([undefined, undefined])
        yield* TestClock.adjust(limits.steerFreshMs)
        expect(chance?.asked).toMatchObject({ to: "two", reason: "owner" })
        expect(sent?.asked).toBeUndefined()
      }),
    ),
  )

  it.effect("sends nobody home while more arrive than would go", () =>
    played([member(own), member("two")], ({ peers, add }) =>
      Effect.gen(function* () {
        const early = add(2)
        peers.set("two", peer({ sessions: 10, shards: [7] }))
        yield* TestClock.adjust(limits.steerFreshMs)
        const atMs = yield* monotonicMs
        for (const session of add(9)) session.acceptedAtMs = atMs
        for (let n = 0; n < 4; n++) yield* second
        expect(targets(early)).toEqual([])
        yield* TestClock.adjust(limits.steerFreshMs)
        expect(targets(early).length).toBeGreaterThan(0)
      }),
    ),
  )
})
