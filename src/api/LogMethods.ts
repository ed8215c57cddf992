/** Logs: pushed by supervisors, asked for by people. */
import { Clock, Effect } from "effect"
import { PermissionDenied } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { LogLine } from "../domain/Sandbox.ts"
import { Logs } from "../store/Logs.ts"
import { OpenShell, type PushSandboxLogsRequest } from "../wire/OpenShell.ts"
import { openShellAccess as access } from "./Access.ts"
import { receive, send, streaming, unary } from "./Endpoint.ts"
import { byId } from "./Lookup.ts"
import { ownSandbox } from "./Principal.ts"
import { logToWire } from "./SandboxCodec.ts"

const { method } = OpenShell

const getSandboxLogs = unary(method.getSandboxLogs, access.getSandboxLogs, (request) =>
  Effect.gen(function* () {
    const sandbox = yield* byId(request.sandboxId)
    const logs = yield* Logs
    const page = yield* logs.tail(sandbox.id, {
      lines: request.lines === 0 ? limits.logQueryDefault : request.lines,
      sinceMs: Number(request.sinceMs),
      sources: request.sources,
      minLevel: request.minLevel,
    })
    return { logs: page.lines.map(logToWire), bufferTotal: page.lines.length }
  }),
)

/** The server decides whose lines these are and where they came from, not the sender. */
const lineOf =
  (sandboxId: string, nowMs: number) =>
  (line: PushSandboxLogsRequest["logs"][number]): LogLine => ({
    sandboxId,
    timestampMs: line.timestampMs === 0n ? nowMs : Number(line.timestampMs),
    level: line.level,
    target: line.target,
    message: line.message,
    source: "sandbox",
    fields: line.fields,
  })

const pushSandboxLogs = streaming(method.pushSandboxLogs, access.pushSandboxLogs, (typed, { principal }) =>
  Effect.gen(function* () {
    const logs = yield* Logs
    let sandboxId: string | undefined
    typed.call.sendHeaders()
    while (true) {
      const batch = yield* receive(typed)
      if (batch === undefined) return yield* send(typed, {})
      if (sandboxId === undefined) {
        yield* ownSandbox(principal, batch.sandboxId)
        sandboxId = (yield* byId(batch.sandboxId)).id
      }
      if (batch.sandboxId !== sandboxId)
        return yield* new PermissionDenied({ message: "log stream sandbox_id changed after validation" })
      const nowMs = yield* Clock.currentTimeMillis
      yield* logs.append(
        sandboxId,
        batch.logs.slice(0, limits.logLinesPerBatch).map(lineOf(sandboxId, nowMs)),
      )
    }
  }),
)

export const logEndpoints = [getSandboxLogs, pushSandboxLogs]
