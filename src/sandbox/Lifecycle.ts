/** Lifecycle of one sandbox: make, stop, start, delete, and the finishing of what a former owner began. */
import { Clock, Duration, Effect } from "effect"
import { SandboxTokens } from "../auth/SandboxTokens.ts"
import { DeadlineExceeded, FailedPrecondition, type StaleEpoch } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox, SandboxStatus } from "../domain/Sandbox.ts"
import { Driver } from "../driver/Driver.ts"
import { Events } from "../store/Events.ts"
import { Logs } from "../store/Logs.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import { SshSessions } from "../store/SshSessions.ts"
import * as Chronicle from "./Chronicle.ts"
import * as Phase from "./Phase.ts"
import type { SandboxState } from "./SandboxState.ts"
import type { Sessions } from "./Sessions.ts"

export const make = (state: SandboxState, fence: Effect.Effect<Fence, StaleEpoch>, sessions: Sessions) =>
  Effect.gen(function* () {
    const driver = yield* Driver
    const tokens = yield* SandboxTokens
    const sandboxes = yield* Sandboxes
    const sshSessions = yield* SshSessions
    const logs = yield* Logs
    const events = yield* Events
    const { tell } = yield* Chronicle.make(state.sandboxId)
    /** Restarts of a sandbox whose processes vanished without a word, within this actor's life. */
    let restarts = 0

    /** Only under a proof of this moment: what came before may have waited for a database that was away. */
    const atDriver = <A, E>(step: string, effect: Effect.Effect<A, E>) =>
      Effect.zipRight(fence, effect).pipe(
        Effect.timeoutFail({
          duration: Duration.millis(limits.lifecycleTimeoutMs),
          onTimeout: () =>
            new DeadlineExceeded({
              message: `the driver did not ${step} the sandbox within ${limits.lifecycleTimeoutMs} ms`,
            }),
        }),
      )

    const forDriver = (sandbox: Sandbox) =>
      Effect.map(tokens.mint(sandbox.id), ({ token }) => ({
        id: sandbox.id,
        name: sandbox.name,
        workspace: sandbox.workspace,
        spec: sandbox.spec,
        token,
      }))

    const observed = (instanceId: string) =>
      state.change((status) =>
        status.agentPod === instanceId ? status : { ...status, agentPod: instanceId },
      )

    const provision = Effect.gen(function* () {
      yield* state.reload
      const sandbox = yield* state.current
      yield* tell({
        reason: "Creating",
        message: `Creating the sandbox with the ${driver.name} driver`,
        progress: {
          completed: { step: "requesting_sandbox", label: "Sandbox requested" },
          active: { step: "starting_sandbox", detail: `${driver.name} driver` },
        },
      })
      const instance = yield* Effect.flatMap(forDriver(sandbox), (it) =>
        atDriver("create", driver.create(it)),
      ).pipe(
        Effect.tapError(() =>
          Effect.flatMap(fence, (proof) => sandboxes.remove(sandbox.id, proof)).pipe(
            Effect.zipRight(Effect.sync(state.forget)),
            Effect.catchAll((error) => Effect.logWarning("The row of a failed create stays", error)),
          ),
        ),
      )
      const created = yield* observed(instance.instanceId)
      yield* tell({
        reason: "Created",
        message: "The sandbox runs; waiting for its supervisor",
        progress: { active: { step: "starting_sandbox", detail: "waiting for the supervisor" } },
      })
      return created
    })

    const finishStop = Effect.gen(function* () {
      yield* sessions.end
      yield* sshSessions.removeForSandbox(state.sandboxId)
      const { name } = yield* state.current
      yield* atDriver("stop", driver.stop(state.sandboxId, name))
      const nowMs = yield* Clock.currentTimeMillis
      return yield* state.change((status) => ({ ...Phase.stopped(status, nowMs), agentPod: "" }))
    })

    const stop = Effect.gen(function* () {
      const { status } = yield* state.current
      if (status.phase === "Stopped") return yield* state.current
      if (status.phase !== "Ready" && status.phase !== "Stopping")
        return yield* new FailedPrecondition({
          message: `sandbox must be Ready to stop (current phase: ${status.phase})`,
        })
      const nowMs = yield* Clock.currentTimeMillis
      yield* state.change((current) => Phase.stopping(current, nowMs))
      yield* tell({ reason: "Stopping", message: "Stopping the sandbox" })
      return yield* finishStop
    })

    const launch = (sandbox: Sandbox) =>
      Effect.flatMap(forDriver(sandbox), (it) => atDriver("start", driver.start(it))).pipe(
        Effect.flatMap((instance) => observed(instance.instanceId)),
      )

    const start = Effect.gen(function* () {
      const sandbox = yield* state.current
      const { phase } = sandbox.status
      if (phase === "Ready" || phase === "Starting") return sandbox
      if (phase !== "Stopped")
        return yield* new FailedPrecondition({
          message: `sandbox must be Stopped to start (current phase: ${phase})`,
        })
      const nowMs = yield* Clock.currentTimeMillis
      yield* state.change((status) => Phase.starting(status, nowMs))
      yield* tell({
        reason: "Starting",
        message: "Starting the sandbox",
        progress: { active: { step: "starting_sandbox" } },
      })
      restarts = 0
      return yield* launch(sandbox)
    })

    const finishDelete = Effect.gen(function* () {
      yield* sessions.end
      yield* sshSessions.removeForSandbox(state.sandboxId)
      const { name } = yield* state.current
      yield* atDriver("delete", driver.delete(state.sandboxId, name))
      yield* logs.removeForSandbox(state.sandboxId)
      yield* events.removeForSandbox(state.sandboxId)
      const proof = yield* fence
      yield* sandboxes.remove(state.sandboxId, proof).pipe(Effect.catchTag("NotFound", () => Effect.void))
      state.forget()
      yield* state.announce
    })

    const remove = Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      yield* state.change((status) => Phase.deleting(status, nowMs), nowMs)
      yield* finishDelete
      return true
    })

    /** Changes the phase for the worse and says so, once. */
    const worsen = (
      reason: string,
      message: string,
      f: (status: SandboxStatus, nowMs: number) => SandboxStatus,
    ) =>
      Effect.gen(function* () {
        const nowMs = yield* Clock.currentTimeMillis
        const { resourceVersion } = yield* state.current
        const next = yield* state.change((status) => f(status, nowMs))
        if (next.resourceVersion !== resourceVersion) yield* tell({ reason, message, type: "Warning" })
      })

    const fail = (reason: string, message: string) =>
      worsen(reason, message, (status, nowMs) => Phase.failed(status, reason, message, nowMs))

    /** The supervisor says that the sandbox's main process ended. Nothing to do for a sandbox that is gone. */
    const exited = (instanceId: string, exitCode: number) =>
      worsen("MainProcessExited", `Main process exited with code ${exitCode}`, (status, nowMs) =>
        Phase.exited(status, instanceId, exitCode, nowMs),
      ).pipe(Effect.catchTag("NotFound", () => Effect.void))

    /**
     * Brings together what should be and what the driver says: a sandbox whose processes ended without a report is
     * started again; one that its driver gave up has failed; one that was stopped behind our back is stopped.
     */
    const revive = (sandbox: Sandbox) =>
      Effect.gen(function* () {
        const presence = state.presence()
        const attached = presence !== undefined && presence.lostAtMs === undefined
        // Processes that hold a session run; only a driver that tells by itself may know better.
        if (attached && driver.changes === undefined) return undefined
        const seen = yield* driver.observe(sandbox.id, sandbox.name)
        if (seen.state === "failed") return yield* fail("BackendFailed", seen.detail)
        // Of one that starts, the driver may still tell how it was.
        if (seen.state === "suspended" && sandbox.status.phase === "Ready") return yield* stop
        if (attached || seen.state === "running") return undefined
        if (restarts >= limits.sandboxRestarts) {
          return yield* fail("BackendExited", `The sandbox ended ${restarts} times: ${seen.detail}`)
        }
        restarts += 1
        yield* tell({ reason: "Restarting", message: "The sandbox was not running; starting it again" })
        return yield* launch(sandbox)
      })

    const reconciled = (missingMs: number) =>
      Effect.gen(function* () {
        yield* state.reload
        const sandbox = yield* state.current
        switch (sandbox.status.phase) {
          case "Deleting":
            return yield* finishDelete
          case "Stopping":
            return yield* Effect.asVoid(finishStop)
          case "Ready":
          case "Provisioning":
          case "Starting":
            yield* sessions.check(missingMs)
            return yield* Effect.asVoid(revive(sandbox))
          default:
            return
        }
      })
    const reconcile = (missingMs: number) =>
      reconciled(missingMs).pipe(Effect.catchTag("NotFound", () => Effect.void))

    return { provision, stop, start, remove, reconcile, exited } as const
  })
