/** The edges of all replicas behind one interface: this one by a call, the others over the peer port. */
import { SocketServer } from "@effect/platform"
import { RpcClient, RpcServer } from "@effect/rpc"
import { Context, Duration, Effect, Layer, RcMap } from "effect"
import { serialization } from "../cluster/Cluster.ts"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { PeerDialer } from "../cluster/PeerDialer.ts"
import { PeerListener } from "../cluster/PeerListener.ts"
import { peerProtocols } from "../cluster/PeerTls.ts"
import type { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Edges, SessionGone } from "../sandbox/Edges.ts"
import { EdgeRpcs, type EdgeStats } from "./EdgeRpcs.ts"
import { edgesOver } from "./EdgesOver.ts"
import { LocalEdge } from "./LocalEdge.ts"

const handlers = EdgeRpcs.toLayer(
  Effect.map(LocalEdge, (edge) =>
    EdgeRpcs.of({
      Open: (request) => edge.open(request),
      EndSession: (request) => edge.endSession(request),
      Slots: (request) => edge.slots(request),
      Cut: (request) => edge.cut(request),
      Stats: () => edge.stats,
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

/** Sessions and relays per replica, for status. */
export class EdgeStatistics extends Context.Tag("holdfast/EdgeStatistics")<
  EdgeStatistics,
  { readonly of: (replica: string) => Effect.Effect<EdgeStats, Unavailable> }
>() {}

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const dialer = yield* PeerDialer
  const edge = yield* LocalEdge

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
  })

  const { edges, statistics } = edgesOver({
    incarnation: config.incarnation,
    membership,
    edge,
    reach: (incarnation) =>
      Effect.map(RcMap.get(clients, incarnation), (client) => ({
        open: (request) => client.Open(request),
        endSession: (request) => client.EndSession(request),
        slots: (request) => client.Slots(request),
        cut: (request) => client.Cut(request),
        stats: client.Stats(),
      })),
  })
  return Context.make(Edges, edges).pipe(Context.add(EdgeStatistics, statistics))
})

export const layer = Layer.scopedContext(make)
