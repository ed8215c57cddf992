/** A wire that is not OpenShell's, as a successor would add one: other names, and JSON instead of protobuf. */
import type { ExecEvent, ExecInput } from "../../../src/domain/ExecRequest.ts"
import type { Sandbox } from "../../../src/domain/Sandbox.ts"
import type { SandboxQuery } from "../../../src/domain/SandboxRequests.ts"
import type { CalledMethod, ServedMethod } from "../../../src/wire/Method.ts"

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const decode = (bytes: Uint8Array): unknown => JSON.parse(Buffer.from(bytes).toString())

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined
const text = (value: unknown, name: string): string => String(field(value, name) ?? "")
const number = (value: unknown, name: string): number => Number(field(value, name) ?? 0)
const bytesOf = (value: unknown): Uint8Array => Buffer.from(text(value, "base64"), "base64")
const base64 = (data: Uint8Array): string => Buffer.from(data).toString("base64")

/** `{"in": "lab"}`: names of a workspace's sandboxes. */
export const list = {
  path: "/later.v2.Sandboxes/Names",
  decodeRequest: (bytes: Uint8Array): SandboxQuery => ({
    limit: 0,
    offset: 0,
    labelSelector: "",
    workspace: text(decode(bytes), "in"),
    allWorkspaces: false,
  }),
  encodeResponse: (found: ReadonlyArray<Sandbox>) => encode(found.map(({ name }) => name)),
  encodeRequest: (workspace: string) => encode({ in: workspace }),
  decodeResponse: decode,
} satisfies ServedMethod<SandboxQuery, ReadonlyArray<Sandbox>> & CalledMethod<string, unknown>

const inputOf = (value: unknown): ExecInput => {
  switch (text(value, "do")) {
    case "run":
      return {
        _tag: "Start",
        start: {
          sandboxId: text(value, "in"),
          command: text(value, "line").split(" "),
          workdir: "",
          environment: {},
          timeoutSeconds: 0,
          stdin: new Uint8Array(),
          tty: false,
          cols: 0,
          rows: 0,
        },
      }
    case "type":
      return { _tag: "Stdin", data: bytesOf(value) }
    case "resize":
      return { _tag: "Resize", cols: number(value, "cols"), rows: number(value, "rows") }
    default:
      return { _tag: "Unknown" }
  }
}

const eventToWire = (event: ExecEvent): unknown => {
  if (event._tag === "Exit") return { ended: event.exitCode }
  return event._tag === "Unknown" ? {} : { [event._tag]: base64(event.data) }
}

export const run = {
  path: "/later.v2.Sandboxes/Run",
  decodeRequest: (bytes: Uint8Array) => inputOf(decode(bytes)),
  encodeResponse: (event: ExecEvent) => encode(eventToWire(event)),
  encodeRequest: encode,
  decodeResponse: decode,
} satisfies ServedMethod<ExecInput, ExecEvent> & CalledMethod<unknown, unknown>
