/** Structured logs: one JSON object per line on standard error. Values under secret-looking keys never leave. */
import { Cause, HashMap, Inspectable, List, Logger, LogLevel } from "effect"

const secretKey = /token|secret|password|authorization|credential|private/i

const scrub = (key: string, value: unknown): unknown => {
  if (secretKey.test(key)) return "<redacted>"
  const plain = Inspectable.toStringUnknown(value, 0)
  return typeof value === "number" || typeof value === "boolean" ? value : plain
}

const textOf = (part: unknown): string => {
  if (typeof part === "string") return part
  if (Cause.isCause(part)) return Cause.pretty(part)
  if (part instanceof Error) return part.message
  if (typeof part === "object" && part !== null)
    return Object.entries(part)
      .map(([key, value]) => `${key}=${scrub(key, value)}`)
      .join(" ")
  return String(part)
}

export const jsonLines = Logger.make<unknown, void>(
  ({ logLevel, message, annotations, cause, date, spans }) => {
    const line: Record<string, unknown> = {
      time: date.toISOString(),
      level: logLevel.label.toLowerCase(),
      message: (Array.isArray(message) ? message : [message]).map(textOf).join(" "),
    }
    for (const [key, value] of HashMap.entries(annotations)) line[key] = scrub(key, value)
    for (const span of List.toArray(spans)) line[`span.${span.label}`] = date.getTime() - span.startTime
    if (!Cause.isEmpty(cause)) line.cause = Cause.pretty(cause, { renderErrorCause: true })
    process.stderr.write(`${JSON.stringify(line)}\n`)
  },
)

export const layer = Logger.replace(Logger.defaultLogger, jsonLines)

const levels: Readonly<Record<string, LogLevel.LogLevel>> = {
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  warning: LogLevel.Warning,
  error: LogLevel.Error,
  off: LogLevel.None,
}

/** The level of that name, undefined for a name that is none. */
export const levelOf = (name: string): LogLevel.LogLevel | undefined => levels[name.toLowerCase()]
export const levelNames = Object.keys(levels)
