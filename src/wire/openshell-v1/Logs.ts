/** Logs and the life of a sandbox as a stream (contract 2.3). */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { LogLine } from "../../domain/Sandbox.ts"
import type { LogQuery, PushedLines, WatchEvent, WatchQuery } from "../../domain/SandboxRequests.ts"
import { called, nothing, served } from "../grpc/Protobuf.ts"
import {
  type GetSandboxLogsRequest,
  OpenShell,
  type PushSandboxLogsRequest,
  type SandboxStreamEvent,
  type SandboxStreamEventSchema,
  type WatchSandboxRequest,
} from "./Generated.ts"
import {
  logLineOf,
  logLineToWire,
  platformEventOf,
  platformEventToWire,
  sandboxOf,
  sandboxToWire,
} from "./SandboxMessages.ts"

const { method } = OpenShell

const logQueryOf = ({ sinceMs, ...rest }: GetSandboxLogsRequest): LogQuery => ({
  ...rest,
  sinceMs: Number(sinceMs),
})

const pushedOf = ({ sandboxId, logs }: PushSandboxLogsRequest): PushedLines => ({
  sandboxId,
  lines: logs.map((line) => ({
    timestampMs: Number(line.timestampMs),
    level: line.level,
    target: line.target,
    message: line.message,
    fields: line.fields,
  })),
})

const watchQueryOf = ({ id, logSinceMs, ...rest }: WatchSandboxRequest): WatchQuery => ({
  ...rest,
  sandboxId: id,
  logSinceMs: Number(logSinceMs),
})

const eventToWire = (event: WatchEvent): MessageInitShape<typeof SandboxStreamEventSchema> => {
  switch (event._tag) {
    case "Status":
      return { payload: { case: "sandbox", value: sandboxToWire(event.sandbox) } }
    case "Log":
      return { payload: { case: "log", value: logLineToWire(event.line) } }
    case "Event":
      return { payload: { case: "event", value: platformEventToWire(event.event) } }
    case "Drafts": {
      const { _tag, draftVersion, ...update } = event
      return {
        payload: {
          case: "draftPolicyUpdate",
          value: { ...update, draftVersion: BigInt(draftVersion) },
        },
      }
    }
    case "Warning":
      return { payload: { case: "warning", value: { message: event.message } } }
    case "Unknown":
      return {}
  }
}

const watchEventOf = ({ payload }: SandboxStreamEvent): WatchEvent => {
  switch (payload.case) {
    case "sandbox":
      return { _tag: "Status", sandbox: sandboxOf(payload.value) }
    case "log":
      return { _tag: "Log", line: logLineOf(payload.value) }
    case "event":
      return { _tag: "Event", event: platformEventOf(payload.value) }
    case "draftPolicyUpdate": {
      const { draftVersion, newChunks, totalPending, summary } = payload.value
      return { _tag: "Drafts", draftVersion: Number(draftVersion), newChunks, totalPending, summary }
    }
    case "warning":
      return { _tag: "Warning", message: payload.value.message }
    default:
      return { _tag: "Unknown" }
  }
}

export const logs = {
  get: served(method.getSandboxLogs, logQueryOf, (lines: ReadonlyArray<LogLine>) => ({
    logs: lines.map(logLineToWire),
    bufferTotal: lines.length,
  })),
  push: {
    ...served(method.pushSandboxLogs, pushedOf, (_: undefined) => ({})),
    longCall: "log-push" as const,
  },
  watch: { ...served(method.watchSandbox, watchQueryOf, eventToWire), longCall: "watch" as const },
}

export const logCalls = {
  get: called(
    method.getSandboxLogs,
    ({ workspace, ...query }: LogQuery & { readonly workspace: string }) => ({
      ...query,
      workspace,
      sinceMs: BigInt(query.sinceMs),
      sources: [...query.sources],
    }),
    ({ logs: lines }) => lines.map(logLineOf),
  ),
  push: called(
    method.pushSandboxLogs,
    ({ sandboxId, lines }: PushedLines) => ({
      sandboxId,
      logs: lines.map((line) => ({
        ...line,
        sandboxId,
        timestampMs: BigInt(line.timestampMs),
        fields: { ...line.fields },
      })),
    }),
    nothing,
  ),
  watch: called(
    method.watchSandbox,
    ({ sandboxId, ...query }: WatchQuery) => ({
      ...query,
      id: sandboxId,
      logSinceMs: BigInt(query.logSinceMs),
      logSources: [...query.logSources],
    }),
    watchEventOf,
  ),
}
