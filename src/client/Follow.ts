/** A watch that survives the loss of a replica: it starts again and leaves out what was shown. */
import { Effect, Schedule, Stream } from "effect"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { passing, type WatchEvent, type WatchOptions, watchSandbox } from "./Watch.ts"

/** Gives up when nothing answers for the retry limit; each answer starts it afresh. */
const untilAnswered = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("2 seconds")),
  Schedule.jittered,
  Schedule.upTo(limits.followRetryMs),
)

export const followSandbox = (
  client: GatewayClientService,
  sandboxId: string,
  options: WatchOptions,
): Stream.Stream<WatchEvent, ClientError> => {
  const seen = new Seen()
  return Stream.suspend(() => watchSandbox(client, sandboxId, seen.resume(options))).pipe(
    Stream.filter((event) => seen.isNew(event)),
    Stream.retry(untilAnswered.pipe(Schedule.whileInput(passing))),
  )
}

/** Where a watch stands: the youngest log line's time and the lines of that very millisecond. */
class Seen {
  #started = false
  #lastMs = 0
  #lastLines = new Set<string>()
  #resourceVersion = -1

  resume(options: WatchOptions): WatchOptions {
    if (!this.#started) {
      this.#started = true
      return options
    }
    // Without a line so far the first tail may not have arrived either.
    if (this.#lastMs === 0) return options
    return { ...options, sinceMs: this.#lastMs, logTailLines: limits.logLinesPerSandbox, eventTail: 0 }
  }

  isNew(event: WatchEvent): boolean {
    if (event._tag === "Status") {
      const changed = event.sandbox.resourceVersion !== this.#resourceVersion
      this.#resourceVersion = event.sandbox.resourceVersion
      return changed
    }
    if (event._tag !== "Log") return true
    const { timestampMs } = event.line
    const text = JSON.stringify(event.line)
    if (timestampMs === this.#lastMs && this.#lastLines.has(text)) return false
    if (timestampMs > this.#lastMs) {
      this.#lastMs = timestampMs
      this.#lastLines = new Set()
    }
    if (timestampMs === this.#lastMs && this.#lastLines.size < limits.logLinesPerSandbox)
      this.#lastLines.add(text)
    return true
  }
}

/** Never succeeds before the sandbox is gone. */
export const untilGone = (client: GatewayClientService, sandbox: Sandbox): Effect.Effect<void, ClientError> =>
  followSandbox(client, sandbox.id, { status: true }).pipe(
    Stream.runDrain,
    Effect.catchTag("NotFound", () => Effect.void),
  )
