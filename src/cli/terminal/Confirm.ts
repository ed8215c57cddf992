import { createInterface } from "node:readline/promises"
import { Effect } from "effect"
import { type CliFailure, usageFailure } from "../Failure.ts"

/** Asks on the terminal; without one the answer must come as a flag. */
export const confirm = (question: string): Effect.Effect<boolean, CliFailure> => {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    return Effect.fail(
      usageFailure("this needs a confirmation and there is no terminal to ask on", "Add --yes."),
    )
  }
  return Effect.acquireUseRelease(
    Effect.sync(() => createInterface({ input: process.stdin, output: process.stderr })),
    (lines) =>
      Effect.promise((signal) => lines.question(`${question} [y/N] `, { signal })).pipe(
        Effect.map((answer) => /^y(es)?$/i.test(answer.trim())),
      ),
    (lines) => Effect.sync(() => lines.close()),
  )
}
