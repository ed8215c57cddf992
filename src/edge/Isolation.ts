/**
 * A replica that lost Postgres and every other replica: its clients and supervisors still reach it, find it alive
 * and would stay, while the others take its sandboxes over. As soon as it may not act any more it sends them away,
 * and whoever still comes. While the database is away for all, replicas still hear each other: then everybody stays,
 * because nobody could take anything over.
 */
import { Duration, Effect, Layer, Schedule } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { type Member, Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { ClientPorts } from "./ClientPorts.ts"
import { sendAway, type Told } from "./Departures.ts"
import { LocalEdge } from "./LocalEdge.ts"
import type { Session } from "./Session.ts"
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
  let isAlone = false
  let refuges: ReadonlyArray<Member> = []
  let turn = 0

  const nextRefuge = (): Member | undefined => {
    turn += 1
    return refuges[turn % Math.max(1, refuges.length)]
  }

  edge.report.refuge = () =>
    isAlone && ownership.proofAgeMs() > config.fenceMs ? (nextRefuge()?.url ?? "") : undefined

  const isOther = ({ incarnation }: { readonly incarnation: string }): boolean =>
    incarnation !== config.incarnation

  const look = Effect.gen(function* () {
    const others = (yield* membership.members).filter((member) => member.live && isOther(member))
    refuges = others.filter(({ draining }) => !draining)
    const peers = yield* steering.look
    return isIsolated({
      others: others.length,
      answering: peers.filter(({ member }) => isOther(member)).length,
    })
  })

  /** Supervisors that know no move find another replica when their session ends; their relays run on. */
  const endPlainSessions = (sessions: ReadonlyArray<Session>) =>
    Effect.forEach(sessions, (session) => Effect.forkDaemon(edge.letGo(session)), { discard: true })

  /**
   * To the others in turn, as the database last named them; a supervisor that does not reach that one takes the
   * address it was started with. They stay until another replica has accepted them.
   */
  const send = Effect.gen(function* () {
    const nowMs = yield* monotonicMs
    const leaving = [...edge.sessions.values()]
      .filter((session) => session.acceptedAtMs !== undefined && !session.retired)
      .filter(({ asked }) => asked === undefined || nowMs - asked.atMs > limits.moveConfirmMs)
      .slice(0, limits.isolationBatch)
    for (const session of leaving) {
      if (!session.redirects) continue
      const to = nextRefuge()
      session.move(to?.url ?? "", { to: to?.incarnation ?? "", reason: "isolated", atMs: nowMs })
    }
    yield* endPlainSessions(leaving.filter(({ redirects }) => !redirects))
    sendAway(ports.connections(), told, limits.isolationBatch, nowMs)
    if (leaving.length > 0)
      yield* Effect.logWarning("Cut off from the database and all replicas; sent sessions away").pipe(
        Effect.annotateLogs({ sessions: leaving.length }),
      )
  })

  const untilFencedMs = (): number => Math.max(0, config.fenceMs - ownership.proofAgeMs())

  /** Whether it is alone is asked before its fence closes: who does not answer takes the longest to ask. */
  const step = Effect.gen(function* () {
    if (untilFencedMs() > limits.steerStatsMs + limits.isolationLookMs) return
    isAlone = yield* look
    if (!isAlone) return
    yield* Effect.sleep(Duration.millis(untilFencedMs()))
    // A proof may have come meanwhile.
    if (untilFencedMs() === 0) yield* send
  }).pipe(Effect.catchAllCause((cause) => Effect.logWarning("Sessions could not be sent away", cause)))

  yield* step.pipe(Effect.repeat(Schedule.spaced(Duration.millis(limits.isolationLookMs))), Effect.forkScoped)
})

export const layer = Layer.scopedDiscard(make)
