/** A progress bar on stderr, for people at a terminal only. */

import { SingleBar } from "cli-progress"
import { Effect, type Scope } from "effect"
import type { Progress } from "../../client/Transfer.ts"
import { formatBytes } from "../text/Bytes.ts"

/** Redraws at most this often, ms. */
const redrawMs = 100

/** The bar is gone when the scope closes. */
export const transferBar = (label: string, shown: boolean): Effect.Effect<Progress, never, Scope.Scope> => {
  if (!shown || !process.stderr.isTTY) return Effect.succeed({})
  const begin = (): SingleBar =>
    new SingleBar({
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      fps: 1_000 / redrawMs,
      etaBuffer: 50,
      format: (_options, { progress, total, value, startTime }) => {
        const rate = value / Math.max(0.001, (Date.now() - startTime) / 1_000)
        const filled = Math.max(0, Math.min(24, Math.round(progress * 24)))
        const bar = `${"█".repeat(filled)}${"░".repeat(24 - filled)}`
        return `${label} ${bar} ${formatBytes(value)} of ${formatBytes(total)} at ${formatBytes(Math.round(rate))}/s`
      },
    })
  return Effect.acquireRelease(
    Effect.sync(() => ({ bar: begin() })),
    ({ bar }) => Effect.sync(() => bar.stop()),
  ).pipe(
    Effect.map(({ bar }) => ({
      onStart: (totalBytes: number) => bar.start(Math.max(1, totalBytes), 0),
      onBytes: (bytes: number) => bar.update(bytes),
    })),
  )
}
