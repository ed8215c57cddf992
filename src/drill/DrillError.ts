import { Data } from "effect"

/** The drill itself cannot go on, as opposed to what it finds. The message says what failed and why. */
export class DrillError extends Data.TaggedError("DrillError")<{ readonly message: string }> {}

/** This machine or account cannot play the scenario; the message says what it needs. */
export class CannotRunHere extends Data.TaggedError("CannotRunHere")<{ readonly message: string }> {}

/** Prefixes what failed. */
export const failed =
  (what: string) =>
  (error: unknown): DrillError =>
    new DrillError({ message: `${what}: ${error instanceof Error ? error.message : String(error)}` })
