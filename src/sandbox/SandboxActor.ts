/**
 * The Sandbox actor: the one place that decides about a sandbox. It lives on the replica that owns its shard,
 * activates on demand and hibernates when idle; what it knows is in the store and at the edges.
 */
import { CurrentAddress } from "@effect/cluster/Entity"
import { Duration, Effect, Exit, FiberMap } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { limits } from "../domain/Limits.ts"
import * as Admission from "./Admission.ts"
import { Edges } from "./Edges.ts"
import { finishing } from "./Finishing.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as OpenRelay from "./OpenRelay.ts"
import { Residents } from "./Residents.ts"
import { SandboxEntity } from "./SandboxEntity.ts"
import * as SandboxState from "./SandboxState.ts"
import * as Sessions from "./Sessions.ts"

const build = Effect.gen(function* () {
  const address = yield* CurrentAddress
  const config = yield* ClusterConfig
  const ownership = yield* Ownership
  const edges = yield* Edges
  const sandboxId = address.entityId
  const shard = address.shardId.id
  const fence = ownership.fence(shard)

  yield* (yield* Residents).enter(sandboxId)
  const state = yield* SandboxState.make(sandboxId, fence)
  const relays = yield* OpenRelay.make(state, fence)
  const sessions = yield* Sessions.make(state, fence)
  const lifecycle = yield* Lifecycle.make(state, fence, sessions)
  /** One lifecycle step at a time; opens do not wait for it. */
  const one = (yield* Effect.makeSemaphore(1)).withPermits(1)
  const step = <A, E, R>(effect: Effect.Effect<A, E, R>) => finishing(limits.lifecycleFinishMs)(one(effect))
  /** An open that was sent twice joins the first. */
  const opening = yield* FiberMap.make<string>()
  const annotated = Effect.annotateLogs({ sandbox: sandboxId, shard })

  return SandboxEntity.of({
    Provision: () => step(lifecycle.provision).pipe(annotated),
    Stop: () => step(lifecycle.stop.pipe(Effect.tap(() => relays.forgetTokens()))).pipe(annotated),
    Start: () => step(lifecycle.start).pipe(annotated),
    Delete: () => step(lifecycle.remove).pipe(annotated),
    Attach: ({ payload }) => one(sessions.attach(payload)).pipe(annotated),
    Detach: ({ payload }) => one(sessions.detach(payload.sessionId)).pipe(annotated),
    OpenRelay: ({ payload }) =>
      FiberMap.run(opening, payload.channelId, Effect.exit(relays.open(payload)), {
        onlyIfMissing: true,
      }).pipe(
        Effect.flatMap((fiber) =>
          Effect.onInterrupt(fiber.await, () => FiberMap.remove(opening, payload.channelId)),
        ),
        Effect.flatMap((exit) => Exit.flatten(exit)),
        annotated,
      ),
    RelayClosed: ({ payload }) =>
      Effect.sync(() => state.setAdmission(Admission.release(state.admission(), payload.channelId))),
    RevokeToken: ({ payload }) =>
      Effect.gen(function* () {
        relays.revoke(payload.tokenHash)
        yield* edges.cut(sandboxId, payload.tokenHash, yield* fence)
      }).pipe(annotated),
    ReportExit: ({ payload }) => step(lifecycle.exited(payload.instanceId, payload.exitCode)).pipe(annotated),
    Reconcile: ({ payload }) => step(lifecycle.reconcile(payload.missingMs)).pipe(annotated),
    Locate: () =>
      Effect.gen(function* () {
        yield* state.current
        const proof = yield* fence
        return { shard, epoch: proof.epoch, owner: config.name, presence: state.presence() }
      }),
  })
})

/** Registers the actor with the cluster. */
export const layer = SandboxEntity.toLayer(build, {
  // Opens wait for sessions; one must not hold up the next.
  concurrency: "unbounded",
  maxIdleTime: Duration.millis(limits.entityIdleMs),
  mailboxCapacity: limits.entityMailbox,
  // A defect ends its own request, not the actor and everyone else's.
  disableFatalDefects: true,
})
