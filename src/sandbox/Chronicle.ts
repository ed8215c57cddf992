/** What the gateway tells of a sandbox: platform events with OpenShell's progress keys, and lines of its log. */
import { Clock, Effect } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import { Events } from "../store/Events.ts"
import { Logs } from "../store/Logs.ts"

/** Steps of a creation that OpenShell's tools know (wire contract 3.9). */
export type ProgressStep = "requesting_sandbox" | "pulling_image" | "starting_sandbox"

export interface Progress {
  readonly completed?: { readonly step: ProgressStep; readonly label: string }
  readonly active?: { readonly step: ProgressStep; readonly detail?: string }
}

const prefix = "openshell.progress"

/** The metadata of a platform event that reports progress. */
export const progressMetadata = ({ completed, active }: Progress): Readonly<Record<string, string>> => ({
  ...(completed === undefined
    ? {}
    : { [`${prefix}.complete_step`]: completed.step, [`${prefix}.complete_label`]: completed.label }),
  ...(active === undefined ? {} : { [`${prefix}.active_step`]: active.step }),
  ...(active?.detail === undefined ? {} : { [`${prefix}.active_detail`]: active.detail }),
})

export interface Entry {
  readonly reason: string
  readonly message: string
  /** Default: `Normal`. */
  readonly type?: "Normal" | "Warning"
  readonly progress?: Progress
}

export interface Chronicle {
  readonly tell: (entry: Entry) => Effect.Effect<void, Unavailable>
}

/** Nothing is kept for a sandbox that does not exist (any more). */
export const make = (sandboxId: string): Effect.Effect<Chronicle, never, Events | Logs> =>
  Effect.gen(function* () {
    const events = yield* Events
    const logs = yield* Logs
    return {
      tell: ({ reason, message, type = "Normal", progress = {} }) =>
        Effect.gen(function* () {
          const timestampMs = yield* Clock.currentTimeMillis
          const metadata = progressMetadata(progress)
          const level = type === "Warning" ? "WARN" : "INFO"
          const target = "holdfast::sandbox"
          yield* Effect.all(
            [
              events.append(sandboxId, { timestampMs, source: "gateway", type, reason, message, metadata }),
              logs.append(sandboxId, [
                { sandboxId, timestampMs, level, target, message, source: "gateway", fields: { reason } },
              ]),
            ],
            { concurrency: 2, discard: true },
          )
        }),
    }
  })
