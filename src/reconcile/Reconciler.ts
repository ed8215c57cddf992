/**
 * Background work of the cluster, run by one replica at a time: sandboxes whose state and whose reality differ are
 * brought to their actors, and expired tokens are removed.
 */
import { Singleton } from "@effect/cluster"
import { Clock, Duration, Effect, Schedule } from "effect"
import { Membership } from "../cluster/Membership.ts"
import { limits } from "../domain/Limits.ts"
import type { SandboxPhase } from "../domain/Sandbox.ts"
import { Driver } from "../driver/Driver.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { Presences } from "../store/Presences.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { SshSessions } from "../store/SshSessions.ts"

/** What a former owner may have left half done. */
const unfinished: ReadonlySet<SandboxPhase> = new Set(["Stopping", "Deleting"])
/** What should have running processes. */
const shouldRun: ReadonlySet<SandboxPhase> = new Set(["Provisioning", "Starting", "Ready"])

const run = Effect.gen(function* () {
  const membership = yield* Membership
  const presences = yield* Presences
  const sandboxes = yield* Sandboxes
  const sshSessions = yield* SshSessions
  const driver = yield* Driver
  const actors = yield* SandboxActors

  const poke = (ids: Iterable<string>) =>
    Effect.forEach(
      new Set(ids),
      (id) =>
        actors
          .ask(id, (actor) => actor.Reconcile(), limits.lifecycleTimeoutMs)
          .pipe(
            Effect.catchAll((error) => Effect.logWarning("Reconcile failed", error.message)),
            Effect.annotateLogs({ sandbox: id }),
          ),
      { concurrency: limits.reconcileConcurrency, discard: true },
    )

  /** Sessions of replicas that are gone, and sessions whose grace period nobody is counting. */
  const sweepSessions = Effect.gen(function* () {
    const live = (yield* membership.members)
      .filter((member) => member.live)
      .map((member) => member.incarnation)
    const suspects = yield* presences.lostOrElsewhere(live)
    yield* poke(suspects.map((presence) => presence.sandboxId))
  })

  const sweepSandboxes = Effect.gen(function* () {
    const running = new Set(
      (yield* driver.list).filter((seen) => seen.state === "running").map((seen) => seen.id),
    )
    const nowMs = yield* Clock.currentTimeMillis
    const rows = yield* sandboxes.overview
    yield* poke(
      rows
        .filter((row) => nowMs - row.createdAtMs > limits.reconcileSettleMs)
        .filter((row) => unfinished.has(row.phase) || (shouldRun.has(row.phase) && !running.has(row.id)))
        .map((row) => row.id),
    )
  })

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

  yield* Effect.logInfo("Reconciler runs here")
  yield* Effect.all(
    [
      every("Session sweep", limits.sessionSweepMs, sweepSessions),
      every("Sandbox sweep", limits.sandboxSweepMs, sweepSandboxes),
      every("Token sweep", limits.tokenSweepMs, reapTokens),
    ],
    { concurrency: "unbounded", discard: true },
  )
}).pipe(Effect.annotateLogs({ module: "reconciler" }))

export const layer = Singleton.make("reconciler", run)
