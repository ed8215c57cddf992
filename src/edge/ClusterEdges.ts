/** The edges of all replicas behind one interface: this one by a call, the others over the peer port. */
import { SocketServer } from "@effect/platform"
import { RpcClient, RpcServer } from "@effect/rpc"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import { Context, Duration, Effect, Layer, RcMap, Schedule } from "effect"
import { serialization } from "../cluster/Cluster.ts"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { PeerDialer } from "../cluster/PeerDialer.ts"
import { PeerListener } from "../cluster/PeerListener.ts"
import { peerProtocols } from "../cluster/PeerTls.ts"
import { Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Edges, SessionGone } from "../sandbox/Edges.ts"
import { EdgeRpcs, type EdgeStats } from "./EdgeRpcs.ts"
import { LocalEdge } from "./LocalEdge.ts"

type EdgeClient = RpcClient.FromGroup<typeof EdgeRpcs, RpcClientError>

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

  const call = <A, E>(
    incarnation: string,
    timeoutMs: number,
    f: (client: EdgeClient) => Effect.Effect<A, E | RpcClientError>,
  ): Effect.Effect<A, E | SessionGone> =>
    RcMap.get(clients, incarnation).pipe(
      Effect.flatMap(f),
      Effect.scoped,
      // Giving up must not wait for a peer that does not answer.
      Effect.disconnect,
      Effect.catchAll((error) =>
        error instanceof RpcClientError
          ? Effect.fail(new SessionGone({ message: "that replica cannot be reached" }))
          : Effect.fail(error),
      ),
      Effect.raceFirst(
        Effect.zipRight(
          membership.left(incarnation),
          Effect.fail(new SessionGone({ message: "that replica has left the cluster" })),
        ),
      ),
      Effect.timeoutFail({
        duration: Duration.millis(timeoutMs),
        onTimeout: () => new SessionGone({ message: "that replica did not answer" }),
      }),
    )

  /** Asks one replica, again until it answers or is seen to have left; a dead one is seen within its lease. */
  const persist = <A, E>(
    incarnation: string,
    f: (client: EdgeClient) => Effect.Effect<A, E | RpcClientError>,
  ): Effect.Effect<A, E | SessionGone> =>
    call(incarnation, limits.peerCallTimeoutMs, f).pipe(
      Effect.retry({
        schedule: Schedule.spaced(limits.sessionRetryMs),
        while: (error) => isGone(error) && membership.find(incarnation) !== undefined,
      }),
      Effect.timeoutFail({
        duration: Duration.millis(limits.peerPersistMs),
        onTimeout: () => new SessionGone({ message: "that replica did not answer" }),
      }),
    )

  const others = Effect.map(membership.members, (members) =>
    members.filter((member) => member.live && member.incarnation !== config.incarnation),
  )

  const edges = Edges.of({
    isLive: (replica) => membership.find(replica) !== undefined,
    open: (replica, request) =>
      replica === config.incarnation
        ? edge.open(request)
        : call(replica, limits.relayClaimTimeoutMs + limits.peerOpenTimeoutMs, (client) =>
            client.Open(request),
          ),
    endSession: (replica, request) =>
      replica === config.incarnation
        ? Effect.ignore(edge.endSession(request))
        : Effect.ignore(persist(replica, (client) => client.EndSession(request))),
    slots: (sandboxId, fence, replicas) =>
      Effect.gen(function* () {
        const mine = yield* edge.slots({ sandboxId, fence })
        const theirs = yield* Effect.forEach(
          (yield* others).filter((member) => replicas?.has(member.incarnation) ?? true),
          (member) =>
            persist(member.incarnation, (client) => client.Slots({ sandboxId, fence })).pipe(
              // A replica that left carries nothing; one that is merely slow might, so the question stays open.
              Effect.catchTag("SessionGone", (gone) =>
                membership.find(member.incarnation) === undefined ? Effect.succeed([]) : Effect.fail(gone),
              ),
            ),
          { concurrency: "unbounded" },
        )
        return [...mine, ...theirs.flat()]
      }).pipe(
        Effect.mapError(
          (error) => new Unavailable({ message: `open relays could not be counted: ${error.message}` }),
        ),
      ),
    cut: (sandboxId, tokenHash, fence) =>
      Effect.gen(function* () {
        const request = { sandboxId, fence, ...(tokenHash === undefined ? {} : { tokenHash }) }
        yield* Effect.ignore(edge.cut(request))
        yield* Effect.forEach(
          yield* others,
          (member) => Effect.ignore(persist(member.incarnation, (client) => client.Cut(request))),
          {
            concurrency: "unbounded",
            discard: true,
          },
        )
      }),
  })
  const statistics = EdgeStatistics.of({
    of: (replica) =>
      replica === config.incarnation
        ? edge.stats
        : call(replica, limits.peerCallTimeoutMs, (client) => client.Stats()).pipe(
            Effect.mapError(() => new Unavailable({ message: "that replica cannot be reached" })),
          ),
  })
  return Context.make(Edges, edges).pipe(Context.add(EdgeStatistics, statistics))
})

const isGone = (error: unknown): boolean => error instanceof SessionGone

export const layer = Layer.scopedContext(make)
