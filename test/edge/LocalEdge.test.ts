/** The edge obeys the owner of a sandbox and nobody whom a later owner has replaced; sessions end in order. */
import { PassThrough } from "node:stream"
import { Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { LocalEdge } from "../../src/edge/LocalEdge.ts"
import { Session } from "../../src/edge/Session.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import type { EdgeOpen } from "../../src/sandbox/Edges.ts"
import { session as sessionMethods } from "../../src/wire/openshell-v1/Session.ts"
import { edgeServices } from "./EdgeServices.ts"

const withEdge = <A, E>(f: (edge: LocalEdge["Type"], metrics: Metrics["Type"]) => Effect.Effect<A, E>) =>
  Effect.runPromise(
    Effect.flatMap(Effect.all([LocalEdge, Metrics]), ([edge, metrics]) => f(edge, metrics)).pipe(
      Effect.provide(Layer.provideMerge(LocalEdge.layer, edgeServices)),
    ),
  )

const sessionOn = (edge: LocalEdge["Type"], id: string) => {
  const state = { ended: false }
  const call = {
    stream: new PassThrough().resume(),
    sendHeaders: () => {},
    finish: () => {
      state.ended = true
    },
  }
  const session = new Session("sandbox-1", id, undefined, call, sessionMethods.connect.encodeResponse)
  session.accept(1, "one", 0)
  edge.addSession(session)
  return { session, state }
}

const opening = (sessionId: string, epoch: number): EdgeOpen => ({
  sandboxId: "sandbox-1",
  sessionId,
  channelId: `channel-${epoch}`,
  target: { kind: "ssh" },
  serviceId: "",
  tokenHash: "",
  rendezvous: { replica: "one/1", ticket: "" },
  fence: { shard: 7, epoch },
})

describe("an edge", () => {
  it("refuses every message of a former owner, does nothing of it, and counts", () =>
    withEdge((edge, metrics) =>
      Effect.gen(function* () {
        const { state } = sessionOn(edge, "s")
        const sandboxId = "sandbox-1"
        yield* edge.slots({ sandboxId, fence: { shard: 7, epoch: 5 } })
        const stale = { shard: 7, epoch: 4 }
        const refused = yield* Effect.all([
          Effect.flip(edge.open(opening("s", 4))),
          Effect.flip(edge.endSession({ sessionId: "s", fence: stale })),
          Effect.flip(edge.slots({ sandboxId, fence: stale })),
          Effect.flip(edge.cut({ sandboxId, fence: stale })),
        ])
        expect(refused.map(({ _tag }) => _tag)).toEqual(Array(4).fill("StaleEpoch"))
        expect(refused[0]).toMatchObject({ epoch: 4, seen: 5 })
        expect(state.ended).toBe(false)
        expect(edge.epochsRefused()).toBe(4)
        const counted = yield* Effect.promise(() => metrics.epochsRefused.get())
        expect(counted.values[0]?.value).toBe(4)
        // Other shards have owners of their own.
        yield* edge.endSession({ sessionId: "none", fence: { shard: 8, epoch: 1 } })
      }),
    ))

  it("ends a session that was replaced only when nothing is opening on it, and opens nothing new on it", () =>
    withEdge((edge, metrics) =>
      Effect.gen(function* () {
        const { state } = sessionOn(edge, "s")
        const first = yield* Effect.fork(Effect.flip(edge.open(opening("s", 5))))
        const pending = Effect.promise(() => metrics.relayPending.get())
        yield* Effect.repeat(Effect.delay(pending, 5), {
          until: ({ values }) => values[0]?.value === 1,
          times: 300,
        })
        yield* edge.endSession({ sessionId: "s", fence: { shard: 7, epoch: 5 } })
        yield* Effect.yieldNow()
        expect(state.ended).toBe(false)
        expect((yield* Effect.flip(edge.open({ ...opening("s", 5), channelId: "late" })))._tag).toBe(
          "SessionGone",
        )
        edge.refused("sandbox-1", "channel-5", "the target does not answer")
        expect((yield* first)._tag).toBe("Unavailable")
        yield* Effect.sleep(10).pipe(Effect.repeat({ until: () => state.ended, times: 300 }))
        expect(state.ended).toBe(true)
      }),
    ))

  it("cuts also what is still opening: of that token, or of the whole sandbox", () =>
    withEdge((edge, metrics) =>
      Effect.gen(function* () {
        sessionOn(edge, "s")
        const fence = { shard: 7, epoch: 5 }
        const open = (tokenHash: string) =>
          Effect.fork(
            Effect.flip(edge.open({ ...opening("s", 5), channelId: `with-${tokenHash}`, tokenHash })),
          )
        const [revoked, other] = [yield* open("revoked"), yield* open("other")]
        const pending = Effect.promise(() => metrics.relayPending.get())
        const until = (count: number) =>
          Effect.repeat(Effect.delay(pending, 5), {
            until: ({ values }) => values[0]?.value === count,
            times: 300,
          })
        yield* until(2)
        yield* edge.cut({ sandboxId: "sandbox-2", fence: { shard: 8, epoch: 1 } })
        yield* edge.cut({ sandboxId: "sandbox-1", tokenHash: "revoked", fence })
        expect((yield* revoked)._tag).toBe("Unavailable")
        expect((yield* until(1)).values[0]?.value).toBe(1)
        yield* edge.cut({ sandboxId: "sandbox-1", fence })
        expect((yield* other)._tag).toBe("Unavailable")
      }),
    ))

  it("tells other replicas what it holds and that it drains", () =>
    withEdge((edge) =>
      Effect.gen(function* () {
        sessionOn(edge, "s")
        edge.report.remaining = () => 3
        expect(yield* edge.stats).toEqual({
          sessions: 1,
          relays: 0,
          shards: [1],
          draining: false,
          settling: false,
          heading: {},
          remaining: 0,
        })
      }),
    ))
})
