/** Logs: pushed by supervisors, asked for by people. */
import { Clock, Effect } from "effect"
import { PermissionDenied } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { LogLine } from "../domain/Sandbox.ts"
import type { LogQuery, PushedLine, PushedLines } from "../domain/SandboxRequests.ts"
import { Logs } from "../store/Logs.ts"
import { openShellAccess as access } from "./Access.ts"
import { sandboxById } from "./Lookup.ts"
import { type Exchange, receive, send, streaming, unary } from "./Operation.ts"

/** About what a line takes in a message. */
const sizeOf = (line: LogLine): number => {
  const texts = [line.sandboxId, line.level, line.target, line.message, line.source]
  const fields = Object.entries(line.fields).flat()
  return [...texts, ...fields].reduce((sum, text) => sum + Buffer.byteLength(text) + 8, 32)
}

/** As many of the last lines as a client's decoder takes in one message. */
const newest = (lines: ReadonlyArray<LogLine>): ReadonlyArray<LogLine> => {
  let left = limits.logPageBytes
  const first = lines.findLastIndex((line) => {
    left -= sizeOf(line)
    return left < 0
  })
  return lines.slice(first + 1)
}

const getSandboxLogs = unary(access.getSandboxLogs, (request: LogQuery, caller) =>
  Effect.gen(function* () {
    const sandbox = yield* sandboxById(caller, request.sandboxId)
    const logs = yield* Logs
    const page = yield* logs.tail(sandbox.id, {
      lines: request.lines === 0 ? limits.logQueryDefault : request.lines,
      sinceMs: request.sinceMs,
      sources: request.sources,
      minLevel: request.minLevel,
    })
    return newest(page.lines)
  }),
)

/** The server decides whose lines these are and where they came from, not the sender. */
const lineOf =
  (sandboxId: string, nowMs: number) =>
  (line: PushedLine): LogLine => ({
    sandboxId,
    timestampMs: line.timestampMs === 0 ? nowMs : line.timestampMs,
    level: line.level,
    target: line.target,
    message: line.message,
    source: "sandbox",
    fields: line.fields,
  })

const pushSandboxLogs = streaming(
  access.pushSandboxLogs,
  (exchange: Exchange<PushedLines, undefined>, caller) =>
    Effect.gen(function* () {
      const logs = yield* Logs
      let sandboxId: string | undefined
      exchange.call.sendHeaders()
      while (true) {
        const batch = yield* receive(exchange)
        if (batch === undefined) return yield* send(exchange, undefined)
        if (sandboxId === undefined) sandboxId = (yield* sandboxById(caller, batch.sandboxId)).id
        if (batch.sandboxId !== sandboxId)
          return yield* new PermissionDenied({ message: "log stream sandbox_id changed after validation" })
        const nowMs = yield* Clock.currentTimeMillis
        yield* logs.append(
          sandboxId,
          batch.lines.slice(0, limits.logLinesPerBatch).map(lineOf(sandboxId, nowMs)),
        )
      }
    }),
)

export const logOperations = { get: getSandboxLogs, push: pushSandboxLogs }
