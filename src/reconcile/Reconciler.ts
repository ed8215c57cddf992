/**
 * Background work of the cluster, run by one replica at a time: sandboxes whose state and whose reality differ are
 * brought to their actors, workspaces whose deletion stopped half-way are removed, and expired tokens.
 */
import * as Singleton from "@effect/cluster/Singleton"
import { Clock, Duration, Effect, Schedule, Stream } from "effect"
import { Membership } from "../cluster/Membership.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { Driver, type DriverChange } from "../driver/Driver.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { SandboxSettings } from "../sandbox/SandboxSettings.ts"
import { Events } from "../store/Events.ts"
import { SshSessions } from "../store/SshSessions.ts"
import { Sweeps } from "../store/Sweeps.ts"
import { Workspaces } from "../store/Workspaces.ts"
import { Returning } from "./Returning.ts"
import { endWorkspaces } from "./WorkspaceEnd.ts"

const run = Effect.gen(function* () {
  const membership = yield* Membership
  const sweeps = yield* Sweeps
  const { sessionGraceMs } = yield* SandboxSettings
  const sshSessions = yield* SshSessions
  const driver = yield* Driver
  const actors = yield* SandboxActors
  const events = yield* Events

  const poke = (ids: Iterable<string>, missingMs = 0) =>
    Effect.forEach(
      new Set(ids),
      (id) =>
        actors
          .ask(id, (actor) => actor.Reconcile({ missingMs }), limits.lifecycleTimeoutMs)
          .pipe(
            Effect.catchAll((error) => Effect.logWarning("Reconcile failed", error.message)),
            Effect.annotateLogs({ sandbox: id }),
          ),
      { concurrency: limits.reconcileConcurrency, discard: true },
    )

  /** When a replica that held sessions was first missed, by the monotonic clock. */
  const missedAtMs = new Map<string, number>()

  /**
   * Replicas that hold sessions and left a grace period ago. The supervisors of a lost replica come back by
   * themselves; until then a look at each of its sandboxes would only take the time in which they all reconnect.
   */
  const departed = Effect.gen(function* () {
    const live = (yield* membership.members)
      .filter((member) => member.live)
      .map((member) => member.incarnation)
    const away = yield* sweeps.holdersBeyond(live)
    const nowMs = yield* monotonicMs
    for (const replica of [...missedAtMs.keys()]) if (!away.includes(replica)) missedAtMs.delete(replica)
    for (const replica of away) if (!missedAtMs.has(replica)) missedAtMs.set(replica, nowMs)
    const gone = away.filter((replica) => nowMs - (missedAtMs.get(replica) ?? nowMs) >= sessionGraceMs)
    const overdueMs =
      Math.max(0, ...gone.map((replica) => nowMs - (missedAtMs.get(replica) ?? nowMs))) - sessionGraceMs
    return {
      gone,
      away,
      overdueMs,
      live,
      holders: [...live, ...away.filter((replica) => !gone.includes(replica))],
    }
  })

  const returning = new Returning()

  /**
   * Sessions of replicas that are gone, sessions whose grace period nobody is counting, and sessions that count as
   * lost although their replica is back.
   */
  const sweepSessions = Effect.gen(function* () {
    const { gone, away, overdueMs, live } = yield* departed
    const missing = yield* sweeps.lostSessions(away)
    const isUnderWay = returning.isUnderWay(missing.length, overdueMs)
    if (gone.length === 0 || !isUnderWay) yield* poke(yield* sweeps.lostSessions(gone), sessionGraceMs)
    yield* poke(yield* sweeps.returned(live))
  })

  const sweepSandboxes = Effect.gen(function* () {
    const { holders } = yield* departed
    const beforeMs = (yield* Clock.currentTimeMillis) - limits.reconcileSettleMs
    const silent = driver.blind === true ? [] : yield* sweeps.silent(holders, beforeMs)
    const seen = silent.length === 0 ? [] : yield* driver.list
    const running = new Set(seen.filter(({ state }) => state === "running").map(({ id }) => id))
    const unfinished = yield* sweeps.unfinished(beforeMs)
    yield* poke([...unfinished, ...silent.filter((id) => !running.has(id))])
  })

  const sweepWorkspaces = Effect.provideService(
    Effect.provideService(endWorkspaces, Workspaces, yield* Workspaces),
    Driver,
    driver,
  )

  const reapTokens = Effect.flatMap(Clock.currentTimeMillis, (nowMs) => sshSessions.reap(nowMs))

  const every = <A, E extends { readonly message: string }>(
    what: string,
    intervalMs: number,
    step: Effect.Effect<A, E>,
  ) =>
    step.pipe(
      Effect.catchAll((error) => Effect.logWarning(`${what} failed`, error.message)),
      Effect.repeat(Schedule.spaced(Duration.millis(intervalMs))),
    )

  /** What the driver last said of a sandbox, so that it is looked at when it stops running and not each time. */
  const runningAtDriver = new Set<string>()

  const onChange = (change: DriverChange) => {
    switch (change._tag) {
      case "Event":
        return events
          .append(change.id, change.event)
          .pipe(
            Effect.catchAll((error) => Effect.logWarning("An event of the driver is lost", error.message)),
          )
      case "Gone":
        return runningAtDriver.delete(change.id) ? poke([change.id]) : Effect.void
      case "Seen": {
        const { id, state } = change.observation
        if (state !== "running") return runningAtDriver.delete(id) ? poke([id]) : Effect.void
        if (runningAtDriver.size >= limits.computeSeen) runningAtDriver.clear()
        runningAtDriver.add(id)
        return Effect.void
      }
    }
  }

  const followDriver =
    driver.changes === undefined
      ? Effect.void
      : driver.changes.pipe(
          Stream.mapEffect((change) => Effect.suspend(() => onChange(change)), {
            concurrency: limits.reconcileConcurrency,
          }),
          Stream.runDrain,
        )

  yield* Effect.logInfo("Reconciler runs here")
  yield* Effect.all(
    [
      every("Session sweep", limits.sessionSweepMs, sweepSessions),
      every("Sandbox sweep", limits.sandboxSweepMs, sweepSandboxes),
      every("Workspace sweep", limits.sandboxSweepMs, sweepWorkspaces),
      every("Token sweep", limits.tokenSweepMs, reapTokens),
      followDriver,
    ],
    { concurrency: "unbounded", discard: true },
  )
}).pipe(Effect.annotateLogs({ module: "reconciler" }))

export const layer = Singleton.make("reconciler", run)
