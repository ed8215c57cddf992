/** Programs that once broke a promise, whole, so that they outlive changes of how seeds become programs. */
import { readFileSync } from "node:fs"
import type { Program } from "./Program.ts"

export interface PastFailure {
  /** What went wrong, and where. */
  readonly about: string
  readonly program: Program
}

export const corpus = (): ReadonlyArray<PastFailure> =>
  JSON.parse(readFileSync(new URL("corpus.json", import.meta.url), "utf8"))
