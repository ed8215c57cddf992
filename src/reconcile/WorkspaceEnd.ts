/** The end of workspaces that are being deleted: first at the driver, then in the store. */
import { Clock, Effect } from "effect"
import type { PublicError } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Driver } from "../driver/Driver.ts"
import { Workspaces } from "../store/Workspaces.ts"

/** Whether there was one to remove. Should it fail, the workspace stays closed and this may be tried again. */
export const endWorkspace = (name: string): Effect.Effect<boolean, PublicError, Driver | Workspaces> =>
  Effect.gen(function* () {
    const { removeWorkspace } = yield* Driver
    if (removeWorkspace !== undefined) yield* removeWorkspace(name)
    const workspaces = yield* Workspaces
    return yield* workspaces.remove(name)
  })

/** Ends those whose deletion somebody began and nobody finished. */
export const endWorkspaces = Effect.gen(function* () {
  const workspaces = yield* Workspaces
  const nowMs = yield* Clock.currentTimeMillis
  yield* Effect.forEach(
    yield* workspaces.terminating(nowMs - limits.reconcileSettleMs),
    (name) =>
      endWorkspace(name).pipe(
        Effect.catchAll((error) =>
          Effect.logWarning(`Workspace '${name}' could not be ended`, error.message),
        ),
      ),
    { discard: true },
  )
})
