import { Data } from "effect"

/** The supervisor does not start, or cannot go on. `message` is for the person who started it. */
export class SupervisorError extends Data.TaggedError("SupervisorError")<{
  /** `configuration`: a variable or flag; `locked`: another one runs; `start`: the machine or the gateway. */
  readonly reason: "configuration" | "locked" | "start"
  readonly message: string
}> {}

/** EX_TEMPFAIL of sysexits.h: somebody else holds the sandbox; trying again later may work. */
export const lockedExitCode = 75

export const exitCodeOf = (error: SupervisorError): number =>
  error.reason === "locked" ? lockedExitCode : error.reason === "configuration" ? 2 : 1
