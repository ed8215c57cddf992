/** What people read when a command fails: what failed, why, and what to do next, and nothing else. */
import { Data, ParseResult } from "effect"
import { ConnectFailed } from "../client/ConnectFailed.ts"
import { errorTable, isPublicError, type PublicError } from "../domain/Errors.ts"
import { red } from "./text/Color.ts"
import { printable } from "./text/Table.ts"

/** An error ready to print. */
export class CliFailure extends Data.TaggedError("CliFailure")<{
  readonly what: string
  readonly why?: string | undefined
  readonly next?: string | undefined
  readonly exitCode: number
  readonly cause?: unknown
}> {}

/** Exit code when the connection of exec, connect, forward or ssh fails: ssh's own convention. */
export const transportExitCode = 255

/** A mistake in how the command was written; the exit code of usage errors. */
export const usageFailure = (what: string, next?: string): CliFailure =>
  new CliFailure({ what, next, exitCode: 2 })

export interface FailureContext {
  /** The attempt as a phrase after "cannot", such as `delete sandbox "demo"`. */
  readonly action: string
  readonly gateway: string
  readonly workspace: string
  readonly sandbox?: string | undefined
  /** The nearest existing name to one that was not found. */
  readonly suggestion?: string | undefined
  /** Whether a lost or refused connection is the transport's failure (255). */
  readonly transport?: boolean | undefined
}

/** Any error of a command as something to print; texts of the gateway are kept word for word. */
export const explain = (error: unknown, context: FailureContext): CliFailure => {
  if (error instanceof CliFailure) return error
  const what = `cannot ${context.action}`
  if (error instanceof ConnectFailed) {
    return new CliFailure({
      what,
      why: `no connection to the gateway at ${error.url}: ${error.message}`,
      next: "Start one with `holdfast up`, or name another with --gateway URL or HOLDFAST_GATEWAY.",
      exitCode: context.transport === true ? transportExitCode : errorTable.Unavailable.exitCode,
      cause: error,
    })
  }
  if (isPublicError(error)) {
    return new CliFailure({
      what,
      why: sentence(error._tag, error.message, context),
      next: nextStep(error._tag, context, error.message),
      exitCode:
        context.transport === true && transportTags.has(error._tag)
          ? transportExitCode
          : errorTable[error._tag].exitCode,
      cause: error,
    })
  }
  return new CliFailure({ what, why: messageOf(error), exitCode: 1, cause: error })
}

/** Tags that mean the way to the command broke, not that it was refused. */
const transportTags: ReadonlySet<PublicError["_tag"]> = new Set([
  "Unavailable",
  "DeadlineExceeded",
  "Internal",
  "StaleEpoch",
  "StreamLost",
  "StreamReset",
  "StreamRefused",
])

const sentence = (tag: PublicError["_tag"], message: string, context: FailureContext): string => {
  if (tag === "NotFound" && message === "sandbox not found" && context.sandbox !== undefined) {
    return `workspace "${context.workspace}" has no sandbox "${context.sandbox}"`
  }
  return message === "" ? errorTable[tag].meaning : message
}

const nextStep = (tag: PublicError["_tag"], context: FailureContext, message: string): string | undefined => {
  const name = context.sandbox ?? "NAME"
  switch (tag) {
    case "NotFound":
      if (message.startsWith("workspace ")) return "`holdfast workspace list` shows those that you may see."
      return context.suggestion === undefined
        ? "`holdfast sandbox list` shows the sandboxes that exist."
        : `Did you mean "${context.suggestion}"? \`holdfast sandbox list\` shows all.`
    case "FailedPrecondition":
      if (message.includes("still contains"))
        return "Delete that first; `holdfast sandbox list -w NAME` shows the sandboxes of a workspace."
      if (message.includes("workspace")) return undefined
      return message.includes("not ready")
        ? `See \`holdfast sandbox get ${name}\` for its phase; start it with \`holdfast sandbox start ${name}\` if it is stopped.`
        : `See \`holdfast sandbox get ${name}\` for its phase.`
    case "AlreadyExists":
      return "Choose another name, or delete that one first."
    case "Unauthenticated":
      return "Give a token with --token-file or HOLDFAST_TOKEN, or a client certificate with --cert and --key."
    case "PermissionDenied":
      return "Ask an administrator of the workspace for the role, or use another workspace with -w."
    case "LimitReached":
      return "It frees as other work ends; try again then."
    case "Conflict":
    case "StaleEpoch":
      return "Somebody changed it at the same time; run the command again."
    case "Unavailable":
      return "Run the command again; `holdfast gateway status` shows which replicas are live."
    case "DeadlineExceeded":
      return "Run the command again, with a longer --timeout if it needs one."
    case "Unimplemented":
      return `The gateway at ${context.gateway} is another version; \`holdfast gateway status\` shows it.`
    case "StreamLost":
      return "Whether the last of it arrived is not known: look before you run it again."
    case "StreamReset":
    case "StreamRefused":
      return `See \`holdfast logs ${name}\` for what the sandbox says.`
    case "Internal":
      return "The gateway's log has the cause."
    case "InvalidArgument":
      return undefined
  }
}

const messageOf = (error: unknown): string => {
  if (ParseResult.isParseError(error)) return ParseResult.TreeFormatter.formatErrorSync(error)
  if (error instanceof Error && error.message !== "") return error.message
  return String(error)
}

/** One to three lines; `debug` adds the stack of the cause. */
export const renderFailure = (
  failure: CliFailure,
  options: { readonly color: boolean; readonly debug: boolean },
): string => {
  const label = options.color ? red("error:") : "error:"
  const oneLine = (text: string): string => printable(text.replace(/\s*\n\s*/g, "; "))
  const lines = [`${label} ${oneLine(failure.what)}`]
  if (failure.why !== undefined) lines.push(`  why: ${oneLine(failure.why)}`)
  if (failure.next !== undefined) lines.push(`  next: ${oneLine(failure.next)}`)
  if (options.debug) lines.push(stackOf(failure.cause ?? failure))
  return `${lines.join("\n")}\n`
}

const stackOf = (cause: unknown): string =>
  cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
