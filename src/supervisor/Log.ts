import { Effect, Runtime } from "effect"

export type Level = "debug" | "info" | "warn" | "error"
export type Fields = Readonly<Record<string, string | number>>

/** Logging for code outside of fibers: sockets, streams and timers. */
export type Log = (level: Level, message: string, fields?: Fields) => void

const log = (level: Level, message: string, fields: Fields): Effect.Effect<void> => {
  const write = {
    debug: Effect.logDebug,
    info: Effect.logInfo,
    warn: Effect.logWarning,
    error: Effect.logError,
  }
  return write[level](message).pipe(Effect.annotateLogs(fields))
}

/** A log with the loggers and annotations that are in force where it is made. */
export const makeLog: Effect.Effect<Log> = Effect.map(
  Effect.runtime<never>(),
  (runtime): Log =>
    (level, message, fields = {}) =>
      Runtime.runSync(runtime)(log(level, message, fields)),
)
