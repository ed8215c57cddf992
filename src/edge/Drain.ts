/**
 * Empties this replica while it serves on: shards first, then the sessions of our supervisors and the connections
 * of clients in batches, then the sessions of supervisors that cannot be told to move. What runs may finish until
 * the deadline. Nothing is refused meanwhile.
 */
import { Context, Deferred, Duration, Effect, Layer, Ref, type Scope } from "effect"
import * as FiberHandle from "effect/FiberHandle"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { Metrics } from "../observe/Metrics.ts"
import { ClientPorts } from "./ClientPorts.ts"
import { busyClients, cut, methodsOf, onTheirWay, sendAway, type Told } from "./Departures.ts"
import type { DrainOrder, DrainState } from "./EdgeRpcs.ts"
import { LocalEdge } from "./LocalEdge.ts"
import { Pace } from "./Pace.ts"
import { Steering } from "./Steering.ts"

export class DrainSettings extends Context.Tag("holdfast/DrainSettings")<
  DrainSettings,
  {
    /** Sessions, and connections, that are on their way at once: the next are told when these have gone. */
    readonly batch: number
    readonly intervalMs: number
    readonly deadlineMs: number
  }
>() {}

interface Run {
  readonly deadlineMs: number
  /** The process ends with it: when nobody can take over, what is left is cut soon. */
  readonly leaving: boolean
  readonly finished: Deferred.Deferred<void>
}

/** Who has been told to leave, and how many more may be by now. */
interface Leaving {
  readonly told: Told
  readonly sessions: Pace
  readonly clients: Pace
}

const make = Effect.gen(function* () {
  const settings = yield* DrainSettings
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const ownership = yield* Ownership
  const metrics = yield* Metrics
  const edge = yield* LocalEdge
  const ports = yield* ClientPorts
  const steering = yield* Steering
  const running = yield* FiberHandle.make<void, never>()
  const current = yield* Ref.make<Run | undefined>(undefined)

  const remaining = (): number => edge.sessions.size + edge.relays() + busyClients(ports.connections())
  edge.report.remaining = remaining

  const publish = Effect.sync(() => {
    const left = remaining()
    metrics.drainRemaining.set(left)
    return left
  })

  /** Whether another replica takes what this one gives away. */
  const hasHeirs = Effect.map(membership.members, (members) =>
    members.some((member) => member.live && !member.draining && member.incarnation !== config.incarnation),
  )

  const handOver = Effect.repeat(Effect.sleep(limits.drainPollMs), {
    while: () =>
      Effect.map(Effect.all([ownership.held, hasHeirs]), ([held, heirs]) => heirs && held.size > 0),
  }).pipe(Effect.timeout(Duration.millis(limits.drainHandoverMs)), Effect.ignore)

  /** Supervisors that know no move find another replica when their session ends; last, because that costs a pause. */
  const endPlainSessions = (startedAtMs: number) =>
    Effect.gen(function* () {
      const nowMs = yield* monotonicMs
      const ending = [...edge.sessions.values()]
        .filter(
          ({ redirects, retired, acceptedAtMs }) => !redirects && !retired && acceptedAtMs !== undefined,
        )
        // One that came back here was sent by a balancer that has not noticed yet.
        .filter(
          ({ acceptedAtMs = 0 }) => acceptedAtMs < startedAtMs || nowMs - acceptedAtMs > limits.steerFreshMs,
        )
        .slice(0, settings.batch)
      yield* Effect.forEach(ending, (session) => Effect.forkDaemon(edge.letGo(session)), { discard: true })
      if (ending.length > 0)
        yield* Effect.logInfo("Ended sessions so that their supervisors go elsewhere").pipe(
          Effect.annotateLogs({ sessions: ending.length }),
        )
    })

  /** Sessions that were asked to move a moment ago and are still here. */
  const sessionsOnTheirWay = (nowMs: number): number =>
    [...edge.sessions.values()].filter(
      ({ asked, retired }) => asked !== undefined && !retired && nowMs - asked.atMs < limits.drainUnderWayMs,
    ).length

  const sendBatch = (startedAtMs: number, { told, sessions, clients }: Leaving) =>
    Effect.gen(function* () {
      const nowMs = yield* monotonicMs
      const room = Math.min(settings.batch - sessionsOnTheirWay(nowMs), sessions.due(nowMs))
      const asked = room > 0 ? yield* steering.move(() => room) : 0
      sessions.told(asked)
      const connections = ports.connections()
      const places = Math.min(settings.batch - onTheirWay(connections, told, nowMs), clients.due(nowMs))
      clients.told(sendAway(connections, told, Math.max(0, places), nowMs))
      const left = [...edge.sessions.values()].some((session) => steering.movable(session))
      if (asked === 0 && !left) yield* endPlainSessions(startedAtMs)
    }).pipe(Effect.catchAllCause((cause) => Effect.logWarning("A batch of a drain failed", cause)))

  const cutWhatIsLeft = (why: string) =>
    Effect.gen(function* () {
      yield* Effect.logWarning(`${why}: what is left is cut`).pipe(
        Effect.annotateLogs({
          remaining: remaining(),
          sessions: edge.sessions.size,
          relays: edge.relays(),
          calls: methodsOf(ports.connections()).join(" "),
        }),
      )
      // Reset, not ended: a relay that is cut must not pass for one that is complete.
      edge.cutRelays()
      cut(ports.connections())
      yield* Effect.sleep(Duration.millis(limits.drainFlushMs))
    })

  const work = (run: Run) =>
    Effect.gen(function* () {
      const startedAtMs = yield* monotonicMs
      let batchAtMs = 0
      let aloneSinceMs: number | undefined
      yield* handOver
      const leaving = yield* Effect.map(monotonicMs, (nowMs): Leaving => {
        const untilMs = nowMs + (run.deadlineMs - nowMs) * limits.drainSpread
        return {
          told: new WeakMap(),
          sessions: new Pace(edge.sessions.size, nowMs, untilMs),
          clients: new Pace(busyClients(ports.connections()), nowMs, untilMs),
        }
      })
      while (true) {
        const nowMs = yield* monotonicMs
        const heirs = yield* hasHeirs
        aloneSinceMs = heirs ? undefined : (aloneSinceMs ?? nowMs)
        if (heirs && nowMs - batchAtMs >= settings.intervalMs) {
          batchAtMs = nowMs
          yield* sendBatch(startedAtMs, leaving)
        }
        const left = yield* publish
        const over =
          nowMs >= run.deadlineMs ||
          (run.leaving && aloneSinceMs !== undefined && nowMs - aloneSinceMs >= limits.drainAloneMs)
        const finished = yield* Deferred.isDone(run.finished)
        if (!finished && (left === 0 || over)) {
          if (left > 0) yield* cutWhatIsLeft(heirs ? "The drain's deadline is over" : "Nobody takes over")
          yield* Effect.logInfo("Drained").pipe(
            Effect.annotateLogs({ tookMs: Math.round((yield* monotonicMs) - startedAtMs) }),
          )
          yield* Deferred.succeed(run.finished, undefined)
        }
        yield* Effect.sleep(Duration.millis(limits.drainPollMs))
      }
    })

  const start = (deadlineMs: number, leaving: boolean) =>
    Effect.gen(function* () {
      const run: Run = {
        deadlineMs: (yield* monotonicMs) + (deadlineMs > 0 ? deadlineMs : settings.deadlineMs),
        leaving,
        finished: yield* Deferred.make<void>(),
      }
      yield* Ref.set(current, run)
      yield* membership.withdraw(true)
      yield* Effect.logInfo("Draining").pipe(Effect.annotateLogs({ remaining: remaining() }))
      yield* FiberHandle.run(running, work(run))
      return run
    })

  const cancel = Effect.gen(function* () {
    const run = yield* Ref.get(current)
    if (run === undefined) return
    if (run.leaving)
      return yield* new FailedPrecondition({ message: `'${config.name}' was told to stop and will end` })
    yield* Ref.set(current, undefined)
    yield* FiberHandle.clear(running)
    yield* membership.withdraw(false)
    metrics.drainRemaining.set(0)
    yield* Effect.logInfo("Drain cancelled; serving again")
  })

  const state = Effect.sync((): DrainState => {
    const draining = membership.withdrawn()
    return { draining, remaining: draining ? remaining() : 0 }
  })

  return {
    /** Drains because the process ends; completes when it may. */
    leave: Effect.flatMap(start(0, true), ({ finished }) => Deferred.await(finished)),
    /** By an operator's order; answers at once. */
    order: (order: DrainOrder): Effect.Effect<DrainState, FailedPrecondition> =>
      Effect.gen(function* () {
        if (order.cancel) yield* cancel
        else if (!(yield* hasHeirs))
          return yield* new FailedPrecondition({
            message: `no other replica would take over from '${config.name}': add one, or end the drain of another`,
          })
        else yield* start(order.deadlineMs, false)
        return yield* state
      }),
    state,
  } as const
})

export class Drain extends Context.Tag("holdfast/Drain")<Drain, Effect.Effect.Success<typeof make>>() {
  static layer: Layer.Layer<Drain, never, Exclude<Effect.Effect.Context<typeof make>, Scope.Scope>> =
    Layer.scoped(Drain, make)
}
