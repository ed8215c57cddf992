/** Log lines and events for people: time, level, source, message, fields. */
import type { LogLine, PlatformEvent } from "../domain/Sandbox.ts"
import { cyan, dim, red, yellow } from "./text/Color.ts"
import { printable } from "./text/Table.ts"

const paintLevel = (level: string, text: string): string => {
  if (level === "ERROR") return red(text)
  if (level === "WARN") return yellow(text)
  return level === "DEBUG" || level === "TRACE" ? dim(text) : text
}

const time = (timestampMs: number): string => new Date(timestampMs).toISOString()

/** One line, whatever the message contains. */
export const renderLogLine = (line: LogLine, color: boolean): string => {
  const level = line.level.padEnd(5)
  const fields = Object.entries(line.fields).map(([key, value]) => `${key}=${quoteIfNeeded(value)}`)
  const rest = printable(
    [line.source.padEnd(7), line.target, line.message, ...fields].filter(Boolean).join(" "),
  )
  return color
    ? `${dim(time(line.timestampMs))} ${paintLevel(line.level, level)} ${rest}\n`
    : `${time(line.timestampMs)} ${level} ${rest}\n`
}

const quoteIfNeeded = (value: string): string => (/[\s"=]/.test(value) ? JSON.stringify(value) : value)

export const renderEvent = (event: PlatformEvent, color: boolean): string => {
  const kind = event.type === "" ? "Event" : event.type
  const painted = !color ? kind : kind === "Warning" ? yellow(kind) : cyan(kind)
  const text = printable([event.reason, event.message].filter((part) => part !== "").join(": "))
  return `${time(event.timestampMs)} ${painted} ${printable(event.source)} ${text}\n`
}
