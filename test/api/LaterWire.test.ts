/** A second wire beside the first: a folder of codecs and a binding, the same operations, one port. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { openShellAccess as access } from "../../src/api/Access.ts"
import { bind } from "../../src/api/Endpoint.ts"
import { type CommandStream, execOverStream } from "../../src/api/ExecOverStream.ts"
import { type Exchange, receive, streaming } from "../../src/api/Operation.ts"
import { developer } from "../../src/api/Principal.ts"
import { sandboxOperations } from "../../src/api/SandboxMethods.ts"
import type { ExecEvent, ExecInput } from "../../src/domain/ExecRequest.ts"
import { limits } from "../../src/domain/Limits.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { execStream } from "../../src/wire/ExecStream.ts"
import { call, openCall } from "../../src/wire/grpc/Calls.ts"
import { MessageReader } from "../../src/wire/grpc/MessageReader.ts"
import { writeFrame } from "../../src/wire/grpc/MessageWriter.ts"
import { memoryStreams } from "../../src/wire/MemoryStream.ts"
import { exec, execCalls } from "../../src/wire/openshell-v1/Exec.ts"
import { sandboxCalls, sandboxes } from "../../src/wire/openshell-v1/Sandboxes.ts"
import { type ApiServer, startApi } from "../kit/ApiServer.ts"
import { aSandbox, storeKit } from "../kit/Stores.ts"
import * as later from "./laterwire/Wire.ts"

const kit = storeKit("sqlite")

/** Plays a supervisor that runs `tac`: it says what it was told, once there is no more of it. */
const supervisor = async (stream: CommandStream): Promise<void> => {
  const reader = new MessageReader(stream, limits.inboundMessageBytes)
  const told: Array<string> = []
  for (let bytes = await reader.read(); bytes !== undefined; bytes = await reader.read()) {
    const input = execStream.decodeInput(bytes)
    if (input._tag === "Start") told.unshift(input.start.command.join(" "))
    if (input._tag === "Stdin") told.unshift(Buffer.from(input.data).toString())
    if (input._tag === "Resize") told.unshift(`${input.cols}x${input.rows}`)
  }
  const say = (event: ExecEvent) => writeFrame(stream, execStream.encodeEvent(event))
  say({ _tag: "Stdout", data: Buffer.from(told.join(",")) })
  say({ _tag: "Stderr", data: Buffer.from("done") })
  say({ _tag: "Exit", exitCode: 3 })
  stream.end()
}

/** What `ExecSandboxInteractive` does once the supervisor has taken the stream. */
const command = streaming(access.execSandboxInteractive, (exchange: Exchange<ExecInput, ExecEvent>) =>
  Effect.gen(function* () {
    const first = yield* receive(exchange)
    if (first?._tag !== "Start") return
    const [near, far] = memoryStreams()
    void supervisor(Object.assign(far, { abort: () => far.destroy() }))
    yield* execOverStream(
      exchange,
      Object.assign(near, { abort: () => near.destroy() }),
      first.start,
      exchange,
    )
  }),
)

const openShell = [bind(sandboxes.list, sandboxOperations.list), bind(exec.interactive, command)]
const laterWire = [bind(later.list, sandboxOperations.list), bind(later.run, command)]

let api: ApiServer
beforeAll(async () => {
  api = await startApi(kit.fresh(), { "": developer }, [...openShell, ...laterWire])
  for (const name of ["one", "two"])
    await api.run(Effect.flatMap(Sandboxes, (store) => store.insert(aSandbox({ name }))))
}, 60_000)
afterAll(() => api?.stop(), 60_000)

describe("a later wire", () => {
  it("asks for the operations of the first one, on the same connection", async () => {
    const query = { limit: 0, offset: 0, labelSelector: "", workspace: "", allWorkspaces: false }
    const first = await call(api.connection, sandboxCalls.list, query)
    const second = await call(api.connection, later.list, "default")
    expect(second).toEqual(first.map(({ name }) => name))
    expect(new Set(first.map(({ name }) => name))).toEqual(new Set(["one", "two"]))
  })

  it("is refused in the same words", async () => {
    await expect(call(api.connection, later.list, "nowhere")).rejects.toMatchObject({
      message: "workspace 'nowhere' not found",
    })
  })

  it("has its commands translated for a supervisor whose stream passes the first wire's unread", async () => {
    const typed = Buffer.from("typed")
    const old = openCall(api.connection, execCalls.interactive)
    const start = { command: ["tac"], workdir: "", environment: {}, timeoutSeconds: 0, tty: false }
    const size = { stdin: new Uint8Array(), cols: 0, rows: 0 }
    await old.send({ _tag: "Start", start: { sandboxId: "x", ...start, ...size } })
    await old.send({ _tag: "Stdin", data: typed })
    await old.send({ _tag: "Resize", cols: 80, rows: 24 })
    old.end()
    const events: Array<unknown> = []
    for (let event = await old.receive(); event !== undefined; event = await old.receive())
      events.push(event._tag === "Stdout" ? Buffer.from(event.data).toString() : event._tag)
    expect(events).toEqual(["80x24,typed,tac", "Stderr", "Exit"])

    const next = openCall(api.connection, later.run)
    await next.send({ do: "run", in: "x", line: "tac" })
    await next.send({ do: "type", base64: typed.toString("base64") })
    await next.send({ do: "resize", cols: 80, rows: 24 })
    next.end()
    const answers: Array<unknown> = []
    for (let answer = await next.receive(); answer !== undefined; answer = await next.receive())
      answers.push(answer)
    const base64 = (text: string) => Buffer.from(text).toString("base64")
    expect(answers).toEqual([{ Stdout: base64("80x24,typed,tac") }, { Stderr: base64("done") }, { ended: 3 }])
  })

  it("may not claim a method that another wire serves", async () => {
    const twice = bind(sandboxes.list, sandboxOperations.list)
    await expect(startApi(kit.fresh(), {}, [twice, twice])).rejects.toThrow(
      "/openshell.v1.OpenShell/ListSandboxes is bound twice",
    )
  })
})
