/** What a replica that lost everybody does with whom it holds; the others are played by their statistics. */
import { PassThrough } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import { ClusterConfig } from "../../src/cluster/ClusterConfig.ts"
import { type Member, Membership } from "../../src/cluster/Membership.ts"
import { Ownership } from "../../src/cluster/Ownership.ts"
import { Unavailable } from "../../src/domain/Errors.ts"
import { limits } from "../../src/domain/Limits.ts"
import type { GatewayMessage, SupervisorCapabilities } from "../../src/domain/Session.ts"
import { ClientPorts } from "../../src/edge/ClientPorts.ts"
import { EdgeStatistics } from "../../src/edge/EdgeStatistics.ts"
import * as Isolation from "../../src/edge/Isolation.ts"
import { LocalEdge } from "../../src/edge/LocalEdge.ts"
import { OwnerHints } from "../../src/edge/OwnerHints.ts"
import { PeerArrivals } from "../../src/edge/PeerArrivals.ts"
import { Session } from "../../src/edge/Session.ts"
import { SessionStream } from "../../src/edge/SessionStream.ts"
import { Steering } from "../../src/edge/Steering.ts"
import { Arrivals } from "../../src/sandbox/Arrivals.ts"
import { session as sessionMethods } from "../../src/wire/openshell-v1/Session.ts"
import { edgeServices } from "./EdgeServices.ts"

const { isIsolated } = Isolation
const fenceMs = 5_000

const member = (name: string, draining = false): Member => ({
  ...{ name, incarnation: `${name}/1`, machineId: 1, host: "127.0.0.1", port: 1 },
  ...{ url: `http://${name}`, version: "0", startedAtMs: 0, live: true, draining },
})

const capabilities: SupervisorCapabilities = {
  ...{ connectionEpoch: 1, instanceStartedAtMs: 0, resume: false, redirect: true, fence: false, exec: false },
  ...{ configPush: false, liveChannelIds: [] },
}

interface Play {
  readonly edge: LocalEdge["Type"]
  /** Time without proof of the locks. */
  readonly unproven: (ms: number) => Effect.Effect<void>
  readonly answering: Set<string>
  readonly session: (redirects: boolean) => { readonly session: Session; readonly ended: () => boolean }
  readonly hello: Effect.Effect<ReadonlyArray<GatewayMessage>>
}

const played = (f: (play: Play) => Effect.Effect<void>) => {
  let proofAgeMs = 0
  const answering = new Set<string>()
  const own = Layer.merge(
    Layer.effect(
      ClusterConfig,
      Effect.map(ClusterConfig, (usual) => ({ ...usual, fenceMs, leaseMs: 8_000 })),
    ),
    Layer.effect(
      Ownership,
      Effect.map(Ownership, (usual) => ({ ...usual, proofAgeMs: () => proofAgeMs })),
    ),
  ).pipe(Layer.provideMerge(edgeServices))
  const statistics = Layer.effect(
    EdgeStatistics,
    Effect.map(LocalEdge, (edge) => ({
      of: (replica: string) =>
        replica === "one/1" || answering.has(replica)
          ? edge.stats
          : Effect.fail(new Unavailable({ message: "gone" })),
    })),
  )
  const nobody = Layer.mergeAll(
    Layer.succeed(Arrivals, { attachAll: () => Effect.succeed([]) }),
    Layer.succeed(PeerArrivals, { attach: () => Effect.succeed([]) }),
  )
  const layer = Layer.merge(Isolation.layer, SessionStream.layer).pipe(
    Layer.provideMerge(Steering.layer),
    Layer.provideMerge(statistics),
    Layer.provideMerge(Layer.mergeAll(LocalEdge.layer, OwnerHints.layer, ClientPorts.layer, nobody)),
    Layer.provideMerge(own),
  )
  return Effect.gen(function* () {
    const edge = yield* LocalEdge
    const sessions = yield* SessionStream
    yield* (yield* Membership).update([member("one"), member("two"), member("three", true)])
    let counter = 0
    yield* f({
      edge,
      answering,
      unproven: (ms) =>
        Effect.forEach(Array.from({ length: Math.ceil(ms / 500) }), () =>
          Effect.suspend(() => {
            proofAgeMs += 500
            return TestClock.adjust(500)
          }),
        ),
      session: (redirects) => {
        counter += 1
        let over = false
        const call = {
          stream: new PassThrough().resume(),
          sendHeaders: () => {},
          finish: () => {
            over = true
          },
        }
        const session = new Session(
          `sandbox-${counter}`,
          `session-${counter}`,
          redirects ? capabilities : undefined,
          call,
          sessionMethods.connect.encodeResponse,
        )
        session.accept(1, "one", 0)
        session.acceptedAtMs = 0
        edge.addSession(session)
        return { session, ended: () => over }
      },
      hello: Effect.gen(function* () {
        const said: Array<GatewayMessage> = []
        const call = { stream: new PassThrough().resume(), sendHeaders: () => {}, finish: () => {} }
        yield* Effect.ignore(
          sessions.run(
            "sandbox",
            call,
            (message) => {
              said.push(message)
              return new Uint8Array()
            },
            async () => ({ _tag: "Hello", sandboxId: "sandbox", instanceId: "i", capabilities }),
          ),
        )
        return said
      }),
    })
  }).pipe(Effect.provide(layer), Effect.scoped)
}

describe("a replica without proof of its locks", () => {
  it("is cut off when none of the others answers", () => {
    expect(isIsolated({ others: 2, answering: 0 })).toBe(true)
  })

  it("is not while another answers: then it is the database that is away", () => {
    expect(isIsolated({ others: 2, answering: 1 })).toBe(false)
  })

  it("is not when there are no others to go to", () => {
    expect(isIsolated({ others: 0, answering: 0 })).toBe(false)
  })

  it.effect("sends everyone to the others as soon as its fence has closed, not before", () =>
    played(({ unproven, session }) =>
      Effect.gen(function* () {
        const ours = session(true)
        const plain = session(false)
        yield* unproven(fenceMs - limits.isolationLookMs)
        expect([ours.session.asked, plain.ended()]).toEqual([undefined, false])
        yield* unproven(2 * limits.isolationLookMs)
        expect(ours.session.asked).toMatchObject({ to: "two/1", reason: "isolated" })
        // It knows no move: its supervisor dials again when the session ends.
        expect(plain.ended()).toBe(true)
        expect(ours.ended()).toBe(false)
      }),
    ),
  )

  it.effect("keeps everyone while another replica answers", () =>
    played(({ unproven, session, answering, edge }) =>
      Effect.gen(function* () {
        answering.add("two/1")
        const ours = session(true)
        yield* unproven(3 * fenceMs)
        expect(ours.session.asked).toBeUndefined()
        expect(edge.report.refuge()).toBeUndefined()
      }),
    ),
  )

  it.effect("takes no session, and names another replica to who comes", () =>
    played(({ unproven, hello }) =>
      Effect.gen(function* () {
        yield* unproven(fenceMs + 2 * limits.isolationLookMs)
        expect(yield* hello).toMatchObject([{ _tag: "Rejected", terms: { redirectUrl: "http://two" } }])
      }),
    ),
  )
})
