/** Failures of either side as TransferFailed. */
import { Effect } from "effect"
import { scriptExit } from "./RemoteScript.ts"
import { fileProblem, TransferFailed } from "./TransferFailed.ts"

/** Runs file operations; what they reject with becomes TransferFailed. */
export const attempt = <A>(
  run: () => Promise<A>,
  reason: TransferFailed["reason"],
  what: string,
): Effect.Effect<A, TransferFailed> =>
  Effect.tryPromise({ try: run, catch: (cause) => fileProblem(reason, what, cause) })

const reasons: ReadonlyMap<number, TransferFailed["reason"]> = new Map([
  [scriptExit.missing, "missing"],
  [scriptExit.conflict, "conflict"],
  [scriptExit.unreadable, "unreadable"],
  [scriptExit.unwritable, "unwritable"],
  [scriptExit.damaged, "damaged"],
  [scriptExit.tool, "tool"],
  [127, "tool"],
])

/** A script's exit code with the end of what it said. */
export const remoteFailure = (exitCode: number, stderr: string): Effect.Effect<never, TransferFailed> => {
  const said = stderr.split("\n").filter((line) => line.trim() !== "")
  const message =
    said.length === 0 ? `the sandbox's part ended with exit code ${exitCode}` : said.slice(-3).join("; ")
  return Effect.fail(new TransferFailed({ reason: reasons.get(exitCode) ?? "unreadable", message }))
}
