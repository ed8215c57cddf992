/**
 * A replica that lost Postgres and every other replica: its clients and supervisors still reach it, find it alive
 * and would stay, while the others took its sandboxes over. It sends them away. While the database is away for all,
 * replicas still hear each other: then everybody stays, because nobody could take anything over.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { ClientPorts } from "./ClientPorts.ts"
import { sendAway, type Told } from "./Departures.ts"
import { LocalEdge } from "./LocalEdge.ts"
import { Steering } from "./Steering.ts"

export interface Surroundings {
  /** Other replicas by the last word of the database. */
  readonly others: number
  /** Of these, how many answer. */
  readonly answering: number
}

/** The others take over, if there are others and it was not the database that went. */
export const isIsolated = ({ others, answering }: Surroundings): boolean => others > 0 && answering === 0

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const ownership = yield* Ownership
  const edge = yield* LocalEdge
  const ports = yield* ClientPorts
  const steering = yield* Steering
  const told: Told = new WeakMap()

  const others = <A extends { readonly incarnation: string }>(members: ReadonlyArray<A>): number =>
    members.filter(({ incarnation }) => incarnation !== config.incarnation).length

  const look = Effect.gen(function* () {
    const members = yield* membership.members
    const peers = yield* steering.look
    return isIsolated({ others: others(members), answering: others(peers.map(({ member }) => member)) })
  })

  /** To the address they were started with; they stay until another replica has accepted them. */
  const send = Effect.gen(function* () {
    const nowMs = yield* monotonicMs
    const leaving = [...edge.sessions.values()]
      .filter((session) => session.redirects && session.acceptedAtMs !== undefined && !session.retired)
      .filter(({ asked }) => asked === undefined || nowMs - asked.atMs > limits.moveConfirmMs)
      .slice(0, limits.isolationBatch)
    for (const session of leaving) session.move("", { to: "", reason: "isolated", atMs: nowMs })
    sendAway(ports.connections(), told, limits.isolationBatch, nowMs)
    if (leaving.length > 0)
      yield* Effect.logWarning("Cut off from the database and all replicas; sent sessions away").pipe(
        Effect.annotateLogs({ sessions: leaving.length }),
      )
  })

  const untilLeaseMs = (): number => Math.max(0, config.leaseMs - ownership.proofAgeMs())

  /** Whether it is alone is asked before the lease is over: who does not answer takes the longest to ask. */
  const step = Effect.gen(function* () {
    if (untilLeaseMs() > limits.steerStatsMs + limits.isolationLookMs || !(yield* look)) return
    yield* Effect.sleep(Duration.millis(untilLeaseMs()))
    // A proof may have come meanwhile. After the lease the others have taken over.
    if (untilLeaseMs() === 0) yield* send
  }).pipe(Effect.catchAllCause((cause) => Effect.logWarning("Sessions could not be sent away", cause)))

  yield* step.pipe(Effect.repeat(Schedule.spaced(Duration.millis(limits.isolationLookMs))), Effect.forkScoped)
})

export const layer = Layer.scopedDiscard(make)
