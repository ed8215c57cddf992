/** Commands in sandboxes (contract 2.4, 3.3). */
import type { MessageInitShape } from "@bufbuild/protobuf"
import type { ExecEvent, ExecInput, ExecStart } from "../../domain/ExecRequest.ts"
import { called, served } from "../grpc/Protobuf.ts"
import {
  type ExecSandboxEvent,
  type ExecSandboxEventSchema,
  type ExecSandboxInput,
  type ExecSandboxInputSchema,
  OpenShell,
} from "./Generated.ts"

const { method } = OpenShell

const inputOf = ({ payload }: ExecSandboxInput): ExecInput => {
  switch (payload.case) {
    case "start":
      return { _tag: "Start", start: payload.value }
    case "stdin":
      return { _tag: "Stdin", data: payload.value }
    case "resize":
      return { _tag: "Resize", cols: payload.value.cols, rows: payload.value.rows }
    default:
      return { _tag: "Unknown" }
  }
}

const startToWire = (start: ExecStart) => ({
  ...start,
  command: [...start.command],
  environment: { ...start.environment },
})

const inputToWire = (input: ExecInput): MessageInitShape<typeof ExecSandboxInputSchema> => {
  switch (input._tag) {
    case "Start":
      return { payload: { case: "start", value: startToWire(input.start) } }
    case "Stdin":
      return { payload: { case: "stdin", value: input.data } }
    case "Resize":
      return { payload: { case: "resize", value: { cols: input.cols, rows: input.rows } } }
    case "Unknown":
      return {}
  }
}

const eventOf = ({ payload }: ExecSandboxEvent): ExecEvent => {
  switch (payload.case) {
    case "stdout":
      return { _tag: "Stdout", data: payload.value.data }
    case "stderr":
      return { _tag: "Stderr", data: payload.value.data }
    case "exit":
      return { _tag: "Exit", exitCode: payload.value.exitCode }
    default:
      return { _tag: "Unknown" }
  }
}

const eventToWire = (event: ExecEvent): MessageInitShape<typeof ExecSandboxEventSchema> => {
  switch (event._tag) {
    case "Stdout":
      return { payload: { case: "stdout", value: { data: event.data } } }
    case "Stderr":
      return { payload: { case: "stderr", value: { data: event.data } } }
    case "Exit":
      return { payload: { case: "exit", value: { exitCode: event.exitCode } } }
    case "Unknown":
      return {}
  }
}

const startOf = (start: ExecStart): ExecStart => start

export const exec = {
  run: { ...served(method.execSandbox, startOf, eventToWire), isExecStream: true as const },
  interactive: {
    ...served(method.execSandboxInteractive, inputOf, eventToWire),
    isExecStream: true as const,
  },
}

export const execCalls = {
  run: called(method.execSandbox, startToWire, eventOf),
  interactive: called(method.execSandboxInteractive, inputToWire, eventOf),
}
