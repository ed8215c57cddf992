/**
 * Sends sessions where they belong: away from a replica that drains or holds too many, and once to their owner.
 * Replicas learn each other's counts by one small call per pair and second; `Balance.ts` decides from them.
 */
import { Context, Duration, Effect, Layer } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { type Member, Membership } from "../cluster/Membership.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { Metrics } from "../observe/Metrics.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { boundsOf, isSettling, type Load, type Movable, plan } from "./Balance.ts"
import type { EdgeStats } from "./EdgeRpcs.ts"
import { EdgeStatistics } from "./EdgeStatistics.ts"
import { LocalEdge } from "./LocalEdge.ts"
import { OwnerHints } from "./OwnerHints.ts"
import type { Session } from "./Session.ts"

interface Peer {
  readonly member: Member
  readonly stats: EdgeStats
}

const slack = { lowerPercent: limits.steerLowerPercent, upperPercent: limits.steerUpperPercent }

/** Sessions on their way count where they will be. */
const loadsOf = (peers: ReadonlyArray<Peer>): ReadonlyArray<Load> => {
  const coming = new Map<string, number>()
  for (const { stats } of peers)
    for (const [to, count] of Object.entries(stats.heading)) coming.set(to, (coming.get(to) ?? 0) + count)
  return peers.map(({ member, stats }) => {
    const leaving = Object.values(stats.heading).reduce((sum, count) => sum + count, 0)
    return {
      id: member.incarnation,
      sessions: Math.max(0, stats.sessions - leaving) + (coming.get(member.incarnation) ?? 0),
      draining: member.draining || stats.draining,
      settling: stats.settling,
    }
  })
}

const perSecond = (sessions: number, percent: number): number =>
  Math.ceil((sessions * percent * limits.steerIntervalMs) / 100_000)

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const metrics = yield* Metrics
  const edge = yield* LocalEdge
  const actors = yield* SandboxActors
  const statistics = yield* EdgeStatistics
  const hints = yield* OwnerHints
  /** When a sandbox was last asked to move, by the monotonic clock, and to which incarnation. */
  const lastAsked = new Map<string, { readonly atMs: number; readonly to: string }>()
  let nowMs = yield* monotonicMs

  /** Asked, and not replaced yet: it counts as gone. */
  const isLeaving = ({ asked }: Session): boolean =>
    asked !== undefined && nowMs - asked.atMs < limits.moveConfirmMs

  /**
   * It did not go, or came straight back: its supervisor cannot reach the others. That tells nothing where the other
   * has left meanwhile.
   */
  const isStuck = (session: Session): boolean => {
    const last = lastAsked.get(session.sandboxId)
    if (last === undefined || nowMs - last.atMs > limits.moveAgainMs) return false
    if (membership.find(last.to) === undefined) return false
    return session.acceptedAtMs === undefined || session.acceptedAtMs - last.atMs < limits.moveConfirmMs
  }

  const movable = (session: Session): boolean =>
    session.redirects && session.acceptedAtMs !== undefined && !session.retired && !isLeaving(session)

  edge.report.heading = () => {
    const heading: Record<string, number> = {}
    for (const session of edge.sessions.values())
      if (session.asked !== undefined && !session.retired && isLeaving(session))
        heading[session.asked.to] = (heading[session.asked.to] ?? 0) + 1
    return heading
  }

  /** Every live replica that answers, this one included. */
  const look = Effect.gen(function* () {
    const live = (yield* membership.members).filter((member) => member.live)
    const peers = yield* Effect.forEach(
      live,
      (member) =>
        statistics.of(member.incarnation).pipe(
          Effect.timeout(Duration.millis(limits.steerStatsMs)),
          Effect.map((stats): ReadonlyArray<Peer> => [{ member, stats }]),
          Effect.catchAll(() => Effect.succeed<ReadonlyArray<Peer>>([])),
        ),
      { concurrency: "unbounded" },
    )
    const answered = peers.flat()
    const owners = new Map<number, string>()
    for (const { member, stats } of answered)
      for (const shard of stats.shards) owners.set(shard, member.incarnation)
    hints.learn(owners)
    return answered
  })

  const candidates = ({ draining, settling }: Load): ReadonlyArray<Movable> =>
    [...edge.sessions.values()].flatMap((session): ReadonlyArray<Movable> => {
      if (!movable(session)) return []
      const { sessionId, sandboxId, moved, asked, acceptedAtMs = nowMs } = session
      // Whoever drains asks again, but not at the pace at which a balancer that has not noticed sends them back.
      if (isStuck(session) && (!draining || nowMs - acceptedAtMs < limits.steerFreshMs)) return []
      const fresh = !moved && asked === undefined && nowMs - acceptedAtMs > limits.steerFreshMs
      if (!draining && !settling && !fresh) return []
      return [{ sessionId, owner: hints.ownerOf(actors.shardOf(sandboxId)), fresh }]
    })

  /** Asks up to `budget` sessions to move, one after another within `spreadMs`; how many were asked. */
  const move = (budget: (load: Load, settling: boolean) => number, spreadMs = 0): Effect.Effect<number> =>
    Effect.gen(function* () {
      nowMs = yield* monotonicMs
      const peers = yield* look
      const replicas = loadsOf(peers)
      const own = replicas.find(({ id }) => id === config.incarnation)
      const bounds = boundsOf(replicas, slack)
      if (own === undefined || bounds === undefined) return 0
      edge.report.settling = !own.draining && isSettling(own, bounds)
      const moves = plan({
        self: config.incarnation,
        replicas,
        sessions: candidates({ ...own, settling: edge.report.settling }),
        budget: budget(own, edge.report.settling),
        slack,
      })
      const urls = new Map(peers.map(({ member }) => [member.incarnation, member.url]))
      for (const { sessionId, to, reason } of moves) {
        const session = edge.sessions.get(sessionId)
        if (session === undefined || !movable(session)) continue
        session.move(urls.get(to) ?? "", { to, reason, atMs: nowMs })
        lastAsked.delete(session.sandboxId)
        lastAsked.set(session.sandboxId, { atMs: nowMs, to })
        if (spreadMs > 0) yield* Effect.sleep(spreadMs / moves.length)
      }
      if (moves.length > 0)
        yield* Effect.logInfo("Asked sessions to move").pipe(
          Effect.annotateLogs({ sessions: moves.length, reason: moves[0]?.reason ?? "" }),
        )
      return moves.length
    })

  /** Counts moves that came to nothing, and forgets what is over. */
  const review = Effect.sync(() => {
    for (const session of edge.sessions.values())
      if (session.asked !== undefined && !session.asked.failed && !session.retired && !isLeaving(session)) {
        session.asked = { ...session.asked, failed: true }
        metrics.sessionMovesFailed.inc({ reason: session.asked.reason })
      }
    for (const [sandboxId, { atMs }] of lastAsked) {
      if (nowMs - atMs <= limits.moveAgainMs && lastAsked.size <= limits.verifiedTokens) break
      lastAsked.delete(sandboxId)
    }
  })

  /** Going home saves a call for each open and costs a handshake: none while more arrive than would be sent. */
  const homeward = (sessions: number): number => {
    const most = Math.max(1, perSecond(sessions, limits.steerHomePercentPerSecond))
    let arrived = 0
    for (const { acceptedAtMs = nowMs, moved } of edge.sessions.values())
      if (!moved && nowMs - acceptedAtMs < limits.steerFreshMs) arrived += 1
    return arrived * limits.steerIntervalMs > most * limits.steerFreshMs ? 0 : most
  }

  const balance = Effect.suspend(() =>
    membership.withdrawn()
      ? Effect.void
      : move(
          ({ sessions }, settling) =>
            settling
              ? Math.max(limits.steerLeast, perSecond(sessions, limits.steerPercentPerSecond))
              : homeward(sessions),
          limits.steerSpreadMs,
        ),
  ).pipe(
    Effect.zipRight(review),
    Effect.catchAllCause((cause) => Effect.logWarning("Sessions could not be steered", cause)),
  )

  yield* Effect.flatMap(membership.members, (members) =>
    members.filter((member) => member.live).length > 1 ? balance : Effect.void,
  ).pipe(
    Effect.zip(Effect.sleep(limits.steerIntervalMs), { concurrent: true }),
    Effect.forever,
    Effect.forkScoped,
  )

  return { look, loadsOf, move, movable } as const
})

export class Steering extends Context.Tag("holdfast/Steering")<
  Steering,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.scoped(Steering, make)
}
