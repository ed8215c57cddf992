/** What the edges of a cluster are asked, whatever the way to them: deadlines, repetition, and who counts as gone. */
import { RpcClientError } from "@effect/rpc/RpcClientError"
import { type Context, Duration, Effect, Schedule, type Scope } from "effect"
import type { Membership } from "../cluster/Membership.ts"
import { type StaleEpoch, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Arrival, ArrivalAnswer } from "../sandbox/Arrivals.ts"
import { type EdgeOpen, Edges, SessionGone } from "../sandbox/Edges.ts"
import type { EdgeStats } from "./EdgeRpcs.ts"
import type { LocalEdge } from "./LocalEdge.ts"
import { PeerArrivals } from "./PeerArrivals.ts"

type Edge = LocalEdge["Type"]
type AllEdges = Context.Tag.Service<Edges>
type Answer<F> = F extends (...args: never) => Effect.Effect<infer A, infer E>
  ? Effect.Effect<A, E | RpcClientError>
  : never

/** Another replica's edge, as a caller sees it. */
export interface PeerEdge {
  readonly open: (request: EdgeOpen) => Answer<AllEdges["open"]>
  readonly endSession: (
    request: Parameters<AllEdges["endSession"]>[1],
  ) => Effect.Effect<void, StaleEpoch | RpcClientError>
  readonly slots: (request: Parameters<Edge["slots"]>[0]) => Answer<Edge["slots"]>
  readonly cut: (request: Parameters<Edge["cut"]>[0]) => Answer<Edge["cut"]>
  readonly stats: Effect.Effect<EdgeStats, RpcClientError>
  readonly attach: (
    arrivals: ReadonlyArray<Arrival>,
  ) => Effect.Effect<ReadonlyArray<ArrivalAnswer>, Unavailable | RpcClientError>
}

export interface EdgesOptions {
  /** Of this replica. */
  readonly incarnation: string
  readonly membership: Context.Tag.Service<Membership>
  readonly edge: Edge
  /** The way to the edge of that incarnation. */
  readonly reach: (incarnation: string) => Effect.Effect<PeerEdge, SessionGone | RpcClientError, Scope.Scope>
}

const isGone = (error: unknown): boolean => error instanceof SessionGone

export const edgesOver = ({ incarnation: own, membership, edge, reach }: EdgesOptions) => {
  const call = <A, E>(
    incarnation: string,
    timeoutMs: number,
    f: (peer: PeerEdge) => Effect.Effect<A, E | RpcClientError>,
  ): Effect.Effect<A, E | SessionGone> =>
    reach(incarnation).pipe(
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
    f: (peer: PeerEdge) => Effect.Effect<A, E | RpcClientError>,
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
    members.filter((member) => member.live && member.incarnation !== own),
  )

  const edges = Edges.of({
    isLive: (replica) => membership.find(replica) !== undefined,
    open: (replica, request) =>
      replica === own
        ? edge.open(request)
        : call(replica, limits.relayClaimTimeoutMs + limits.peerOpenTimeoutMs, (peer) => peer.open(request)),
    endSession: (replica, request) =>
      replica === own
        ? Effect.ignore(edge.endSession(request))
        : Effect.ignore(persist(replica, (peer) => peer.endSession(request))),
    slots: (sandboxId, fence, replicas) =>
      Effect.gen(function* () {
        const mine = yield* edge.slots({ sandboxId, fence })
        const theirs = yield* Effect.forEach(
          (yield* others).filter((member) => replicas?.has(member.incarnation) ?? true),
          (member) =>
            persist(member.incarnation, (peer) => peer.slots({ sandboxId, fence })).pipe(
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
          (member) => Effect.ignore(persist(member.incarnation, (peer) => peer.cut(request))),
          {
            concurrency: "unbounded",
            discard: true,
          },
        )
      }),
  })
  const statistics = {
    of: (replica: string): Effect.Effect<EdgeStats, Unavailable> =>
      replica === own
        ? edge.stats
        : call(replica, limits.peerCallTimeoutMs, (peer) => peer.stats).pipe(
            Effect.mapError(() => new Unavailable({ message: "that replica cannot be reached" })),
          ),
  }
  const peerArrivals = PeerArrivals.of({
    attach: (replica, arrivals) => call(replica, limits.peerCallTimeoutMs, (peer) => peer.attach(arrivals)),
  })
  return { edges, statistics, peerArrivals } as const
}
