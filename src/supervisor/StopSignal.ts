import { constants } from "node:os"
import { Effect } from "effect"
import { limits } from "../domain/Limits.ts"

const stopSignals = ["SIGTERM", "SIGINT", "SIGHUP"] as const

/**
 * Waits for SIGTERM, SIGINT or SIGHUP and yields 128 and the signal's number. From then on there is a deadline: what
 * has not stopped by then is left behind, because whoever sent the signal sends KILL next.
 */
export const untilSignal: Effect.Effect<number> = Effect.async<number>((resume) => {
  const listeners = stopSignals.map((signal) => {
    const code = 128 + constants.signals[signal]
    const onSignal = (): void => {
      setTimeout(() => process.exit(code), limits.supervisorStopMs).unref()
      resume(Effect.succeed(code))
    }
    process.once(signal, onSignal)
    return () => process.off(signal, onSignal)
  })
  return Effect.sync(() => listeners.forEach((remove) => void remove()))
})
