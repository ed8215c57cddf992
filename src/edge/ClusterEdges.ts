/** The edges of all replicas behind one interface: this one by a call, the others over the peer port. */
import * as SocketServer from "@effect/platform/SocketServer"
import * as RpcClient from "@effect/rpc/RpcClient"
import * as RpcServer from "@effect/rpc/RpcServer"
import { Context, Duration, Effect, Exit, Layer, RcMap, Scope, Stream } from "effect"
import { boundedScope } from "../cluster/BoundedScope.ts"
import { serialization } from "../cluster/Cluster.ts"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { PeerDialer } from "../cluster/PeerDialer.ts"
import { PeerListener } from "../cluster/PeerListener.ts"
import { peerProtocols } from "../cluster/PeerTls.ts"
import { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { Arrivals } from "../sandbox/Arrivals.ts"
import { Edges, SessionGone } from "../sandbox/Edges.ts"
import { Drain } from "./Drain.ts"
import { EdgeRpcs } from "./EdgeRpcs.ts"
import { EdgeStatistics } from "./EdgeStatistics.ts"
import { edgesOver } from "./EdgesOver.ts"
import { LocalEdge } from "./LocalEdge.ts"
import { PeerArrivals } from "./PeerArrivals.ts"
import { PeerDrains } from "./PeerDrains.ts"
import { Silence } from "./Silence.ts"

const handlers = EdgeRpcs.toLayer(
  Effect.map(Effect.all([LocalEdge, Drain, Arrivals]), ([edge, drain, arrivals]) =>
    EdgeRpcs.of({
      Open: (request) => edge.open(request),
      EndSession: (request) => edge.endSession(request),
      Slots: (request) => edge.slots(request),
      Cut: (request) => edge.cut(request),
      Attach: (request) => arrivals.attachAll(request.arrivals),
      Stats: () => edge.stats,
      Drain: (order) => drain.order(order),
    }),
  ),
)

/** Answers the other replicas. */
export const serverLayer = RpcServer.layer(EdgeRpcs, {
  disableFatalDefects: true,
  concurrency: "unbounded",
}).pipe(
  Layer.provide(handlers),
  // fresh: layers are built once per reference, and the cluster's protocol has another socket server.
  Layer.provide(Layer.fresh(RpcServer.layerProtocolSocketServer)),
  Layer.provide(
    Layer.effect(
      SocketServer.SocketServer,
      Effect.map(PeerListener, (listener) => listener.rpcServer(peerProtocols.edge)),
    ),
  ),
  Layer.provide(serialization),
)

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const dialer = yield* PeerDialer
  const edge = yield* LocalEdge

  const silence = new Silence()

  const clients = yield* RcMap.make({
    lookup: (incarnation: string) =>
      Effect.gen(function* () {
        const member = membership.find(incarnation)
        if (member === undefined)
          return yield* new SessionGone({ message: "that replica has left the cluster" })
        const protocol = yield* dialer.rpc(member, peerProtocols.edge)
        return yield* RpcClient.make(EdgeRpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol))
      }),
    idleTimeToLive: Duration.millis(limits.peerIdleMs),
  }).pipe(Scope.extend(yield* boundedScope(limits.peerCloseMs)))

  /** The map would remember a failure: whoever was cut off comes back as the same incarnation. */
  const clientOf = (incarnation: string) =>
    Effect.tapError(RcMap.get(clients, incarnation), () => RcMap.invalidate(clients, incarnation))

  // A replica that has left is not looked for any longer: its successor has another incarnation.
  yield* membership.ref.changes.pipe(
    Stream.runForEach((members) => {
      const live = new Set(members.filter((member) => member.live).map((member) => member.incarnation))
      silence.keep(live)
      return Effect.flatMap(RcMap.keys(clients), (known) =>
        Effect.forEach(
          known.filter((incarnation) => !live.has(incarnation)),
          (incarnation) =>
            RcMap.invalidate(clients, incarnation).pipe(
              Effect.disconnect,
              Effect.timeoutOption(Duration.millis(limits.peerCloseMs)),
            ),
          { discard: true, concurrency: "unbounded" },
        ),
      )
    }),
    Effect.forkScoped,
  )

  const { edges, statistics, peerArrivals } = edgesOver({
    incarnation: config.incarnation,
    membership,
    edge,
    reach: (incarnation) =>
      Effect.map(clientOf(incarnation), (client) => ({
        open: (request) => client.Open(request),
        endSession: (request) => client.EndSession(request),
        slots: (request) => client.Slots(request),
        cut: (request) => client.Cut(request),
        stats: client.Stats(),
        attach: (arrivals) => client.Attach({ arrivals }),
      })),
  })
  const drains = PeerDrains.of({
    order: (incarnation, order) =>
      clientOf(incarnation).pipe(
        Effect.flatMap((client) => client.Drain(order)),
        Effect.scoped,
        Effect.disconnect,
        Effect.timeout(Duration.millis(limits.peerCallTimeoutMs)),
        Effect.mapError((error) =>
          error._tag === "FailedPrecondition"
            ? error
            : new Unavailable({ message: "that replica cannot be reached" }),
        ),
      ),
  })
  /** Asked of everyone every second: by it a replica that has gone silent is noticed. */
  const watched = EdgeStatistics.of({
    of: (incarnation) =>
      Effect.flatMap(monotonicMs, (askedAtMs) =>
        statistics.of(incarnation).pipe(
          Effect.onExit((exit) =>
            Effect.map(monotonicMs, (nowMs) => {
              if (Exit.isSuccess(exit)) return silence.heard(incarnation)
              const member = membership.find(incarnation)
              if (silence.missed(incarnation, askedAtMs, nowMs) && member !== undefined)
                dialer.forsake(member)
            }),
          ),
        ),
      ),
  })
  return Context.make(Edges, edges).pipe(
    Context.add(EdgeStatistics, watched),
    Context.add(PeerArrivals, peerArrivals),
    Context.add(PeerDrains, drains),
  )
})

export const layer = Layer.scopedContext(make)
