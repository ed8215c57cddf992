/** Sessions of one sandbox: attach, supersede, loss and grace. */
import { Clock, Duration, Effect, FiberHandle, Schedule } from "effect"
import type { StaleEpoch } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import type { Presence } from "../domain/Sandbox.ts"
import { Database } from "../store/Database.ts"
import { Presences } from "../store/Presences.ts"
import { decide } from "./Attachment.ts"
import * as Chronicle from "./Chronicle.ts"
import { Edges, endSessionLater } from "./Edges.ts"
import * as Phase from "./Phase.ts"
import type { AttachRequest } from "./SandboxEntity.ts"
import { SandboxSettings } from "./SandboxSettings.ts"
import type { SandboxState } from "./SandboxState.ts"

const connected: Chronicle.Entry = {
  reason: "Ready",
  message: "The supervisor is connected",
  progress: { completed: { step: "starting_sandbox", label: "Sandbox ready" } },
}

export const make = (state: SandboxState, fence: Effect.Effect<Fence, StaleEpoch>) =>
  Effect.gen(function* () {
    const { sessionGraceMs } = yield* SandboxSettings
    const database = yield* Database
    const presences = yield* Presences
    const edges = yield* Edges
    const grace = yield* FiberHandle.make()
    const { tell } = yield* Chronicle.make(state.sandboxId)

    /** Marks the current session lost and lets the grace period run. */
    const lose = (presence: Presence, agoMs = 0) =>
      Effect.gen(function* () {
        const nowMs = yield* Clock.currentTimeMillis
        const lostAtMs = presence.lostAtMs ?? nowMs - agoMs
        if (presence.lostAtMs === undefined) {
          yield* Effect.flatMap(fence, (proof) =>
            presences.markLost(state.sandboxId, presence.sessionId, lostAtMs, proof),
          )
          state.setPresence({ ...presence, lostAtMs })
          // One that still runs is of an earlier loss: the attach in between was written without this actor's
          // knowledge, for instance by a statement whose answer was lost.
          yield* FiberHandle.clear(grace)
          yield* state.change((status) => Phase.sessionLost(status, nowMs))
          yield* state.announce
          yield* Effect.logInfo("Session lost").pipe(Effect.annotateLogs({ session: presence.sessionId }))
        }
        // A loss in the future was written by a replica whose clock is ahead.
        const leftMs = Math.min(sessionGraceMs, Math.max(0, lostAtMs + sessionGraceMs - nowMs))
        yield* FiberHandle.run(
          grace,
          Effect.gen(function* () {
            const overMs = yield* Clock.currentTimeMillis
            if (state.presence()?.lostAtMs !== undefined)
              yield* state.change((status) => Phase.graceOver(status, overMs))
          }).pipe(
            Effect.retry({ schedule: Schedule.exponential(100), times: 5 }),
            // The sweep finds it again if the store was away for all of these.
            Effect.catchAll((error) => Effect.logWarning("Grace period could not be ended", error)),
            Effect.delay(Duration.millis(leftMs)),
          ),
          // A grace period that runs is not begun again: somebody may have set this replica's clock meanwhile.
          { onlyIfMissing: true },
        )
      })

    const attach = (claim: AttachRequest) =>
      Effect.gen(function* () {
        const { status } = yield* state.current
        const previous = state.presence()
        const proof = yield* fence
        const nowMs = yield* Clock.currentTimeMillis
        const { sandboxId } = state
        const verdict = decide({
          sandboxId,
          claim,
          status,
          previous,
          fence: proof,
          nowMs,
          isLive: edges.isLive,
        })
        if (verdict._tag === "Answer") return verdict.reply
        const { presence, ends } = verdict
        const put = presences.put(presence, proof)
        yield* (
          verdict.status === status
            ? // A session that only moved: one statement.
              put
            : database.transaction(
                Effect.zipRight(
                  put,
                  Effect.asVoid(state.change((current) => Phase.attached(current, claim.instanceId, nowMs))),
                ),
              )
        ).pipe(
          // The transaction may have been rolled back after the copy of the row was taken.
          Effect.onError(() => Effect.sync(state.forget)),
        )
        state.setPresence(presence)
        yield* FiberHandle.clear(grace)
        yield* state.announce
        yield* Effect.logInfo("Session attached").pipe(
          Effect.annotateLogs({ session: claim.sessionId, holder: claim.replica, epoch: proof.epoch }),
        )
        if (Phase.awaitsFirstSession(status)) yield* Effect.forkDaemon(Effect.ignoreLogged(tell(connected)))
        if (ends !== undefined) yield* endSessionLater(edges, ends, proof)
        return verdict.reply
      })

    const detach = (sessionId: string) =>
      Effect.gen(function* () {
        yield* state.current
        const presence = state.presence()
        if (presence === undefined || presence.sessionId !== sessionId) return
        yield* lose(presence)
      }).pipe(Effect.catchTag("NotFound", () => Effect.void))

    /**
     * Holds the stored presence against the members: a session of a replica that is gone is lost. A replica that
     * came back still holds the sessions it had, and their supervisors know nothing of the loss: they are sent away,
     * so that they attach again. `missingMs`: how long the replica has been missing, as far as is known.
     */
    const check = (missingMs: number) =>
      Effect.gen(function* () {
        const presence = state.presence()
        if (presence === undefined) return
        const isLive = edges.isLive(presence.replica)
        if (presence.lostAtMs !== undefined && isLive) yield* endSessionLater(edges, presence, yield* fence)
        if (presence.lostAtMs !== undefined || !isLive) yield* lose(presence, missingMs)
      })

    /** Ends the session for good: the sandbox stops or goes away. */
    const end = Effect.gen(function* () {
      const presence = state.presence()
      const proof = yield* fence
      yield* edges.cut(state.sandboxId, undefined, proof)
      if (presence === undefined) return
      yield* FiberHandle.clear(grace)
      yield* edges.endSession(presence.replica, {
        sandboxId: state.sandboxId,
        sessionId: presence.sessionId,
        fence: proof,
      })
      yield* presences.remove(state.sandboxId, proof)
      state.setPresence(undefined)
      yield* state.announce
    })

    return { attach, detach, check, end } as const
  })

export type Sessions = Effect.Effect.Success<ReturnType<typeof make>>
