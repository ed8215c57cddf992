import { Data } from "effect"

/** A measurement that could not be made; the message says which and why. */
export class BenchError extends Data.TaggedError("BenchError")<{ readonly message: string }> {}

export const failed = (what: string) => (cause: unknown) =>
  new BenchError({ message: `${what}: ${cause instanceof Error ? cause.message : String(cause)}` })
