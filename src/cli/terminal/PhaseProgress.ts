/** What a person sees while a sandbox changes its phase: one line that is rewritten, or lines in a log. */
import { Effect, type Scope } from "effect"
import type { WatchEvent } from "../../client/Watch.ts"
import type { Invocation } from "../Invocation.ts"
import { printable } from "../text/Table.ts"

/** Progress keys of OpenShell 0.0.111 in an event's metadata. */
const activeDetail = "openshell.progress.active_detail"
const activeStep = "openshell.progress.active_step"
const completeLabel = "openshell.progress.complete_label"

const textOf = (event: WatchEvent): string | undefined => {
  if (event._tag === "Status") return event.sandbox.status.phase
  if (event._tag !== "Event") return undefined
  const { metadata, message, reason } = event.event
  const step = metadata[activeStep]?.replaceAll("_", " ")
  const detail = metadata[activeDetail]
  if (step !== undefined) return detail === undefined || detail === "" ? step : `${step}: ${detail}`
  return metadata[completeLabel] ?? (message === "" ? reason : message)
}

/** Shows each new state once; the rewritten line is gone when the scope closes. Silent for programs. */
export const phaseProgress = (
  name: string,
  { globals }: Invocation,
): Effect.Effect<(event: WatchEvent) => Effect.Effect<void>, never, Scope.Scope> => {
  const terminal = process.stderr.isTTY === true
  if (globals.output === "json" || globals.output === "name") return Effect.succeed(() => Effect.void)
  let last = ""
  const show = (event: WatchEvent): Effect.Effect<void> =>
    Effect.sync(() => {
      const text = textOf(event)
      if (text === undefined || text === last) return
      last = text
      const line = `${name}: ${printable(text)}`
      process.stderr.write(
        terminal ? `\r\u001b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}` : `${line}\n`,
      )
    })
  return Effect.as(
    Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (terminal && last !== "") process.stderr.write("\r\u001b[2K")
      }),
    ),
    show,
  )
}
