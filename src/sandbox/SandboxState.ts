/** What a live Sandbox actor knows: the stored row and presence, admission, and who waits for a session. */
import { Deferred, Effect, Option } from "effect"
import { type Conflict, NotFound, type StaleEpoch, Unavailable } from "../domain/Errors.ts"
import type { Fence } from "../domain/Fence.ts"
import type { Presence, Sandbox, SandboxStatus } from "../domain/Sandbox.ts"
import { Presences } from "../store/Presences.ts"
import { Sandboxes } from "../store/Sandboxes.ts"
import * as Admission from "./Admission.ts"

/** Attempts of a compare-and-swap before the conflict is the caller's (OpenShell 0.0.111 uses five). */
const casAttempts = 5

export type ChangeError = Conflict | NotFound | StaleEpoch | Unavailable

export const make = (sandboxId: string, fence: Effect.Effect<Fence, StaleEpoch>) =>
  Effect.gen(function* () {
    const sandboxes = yield* Sandboxes
    const presences = yield* Presences
    let sandbox: Sandbox | undefined
    let presence: Presence | undefined
    let loaded = false
    let admission = Admission.empty
    let slotsKnown = false
    /** Grows with everything this owner writes or takes back. */
    let written = 0
    let changed = Deferred.unsafeMake<void>(yield* Effect.fiberId)

    /** What was read while this owner wrote may be older than what it wrote, and is read again. */
    const reload = Effect.gen(function* () {
      for (let attempt = 1; attempt <= casAttempts; attempt++) {
        const before = written
        const found = Option.getOrUndefined(yield* presences.withSandbox(sandboxId))
        if (written !== before) continue
        sandbox = found?.sandbox
        presence = found?.presence
        loaded = true
        return
      }
      return yield* new Unavailable({ message: "the sandbox changes too fast to be read; try again" })
    })

    const current: Effect.Effect<Sandbox, NotFound | Unavailable> = Effect.suspend(() =>
      loaded ? Effect.void : reload,
    ).pipe(
      Effect.flatMap(() =>
        sandbox === undefined
          ? Effect.fail(new NotFound({ message: "sandbox not found" }))
          : Effect.succeed(sandbox),
      ),
    )

    /** Wakes everyone who waits for a session or a phase. */
    const announce = Effect.suspend(() => {
      const previous = changed
      return Effect.flatMap(Deferred.make<void>(), (next) => {
        changed = next
        return Deferred.succeed(previous, undefined)
      })
    })

    /**
     * Changes the status by compare-and-swap under this owner's epoch; a concurrent change of something else is
     * read and tried again. Returns the row as it now is; a change that changes nothing writes nothing.
     */
    const change = (
      f: (status: SandboxStatus) => SandboxStatus,
      deletionTimestampMs?: number,
    ): Effect.Effect<Sandbox, ChangeError> =>
      Effect.gen(function* () {
        const row = yield* current
        const status = f(row.status)
        const terminating = deletionTimestampMs ?? row.deletionTimestampMs
        if (status === row.status && terminating === row.deletionTimestampMs) return row
        const proof = yield* fence
        const next = yield* sandboxes.update({ ...row, status, deletionTimestampMs: terminating }, proof)
        sandbox = next
        written += 1
        yield* announce
        return next
      }).pipe(
        Effect.retry({
          times: casAttempts - 1,
          while: (error) => (error._tag === "Conflict" ? Effect.as(reload, true) : Effect.succeed(false)),
        }),
      )

    return {
      sandboxId,
      current,
      reload,
      change,
      announce,
      presence: () => presence,
      setPresence: (next: Presence | undefined) => {
        presence = next
        written += 1
      },
      forget: () => {
        loaded = false
        written += 1
      },
      admission: () => admission,
      setAdmission: (next: Admission.Admission) => {
        admission = next
      },
      slotsKnown: () => slotsKnown,
      markSlotsKnown: () => {
        slotsKnown = true
      },
      /** Completes at the next change. Take it before looking, so that none is missed. */
      nextChange: () => Deferred.await(changed),
    } as const
  })

export type SandboxState = Effect.Effect.Success<ReturnType<typeof make>>
