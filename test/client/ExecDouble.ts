/** Commands of the gateway double, run by bash as a supervisor's SSH server runs them. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { spawn as spawnPty } from "@lydell/node-pty"
import { Status } from "../../src/domain/Status.ts"
import type { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler } from "../../src/wire/grpc/GrpcServer.ts"
import { MessageReader } from "../../src/wire/grpc/MessageReader.ts"
import { methodPath } from "../../src/wire/grpc/Typed.ts"
import {
  ExecSandboxEventSchema,
  ExecSandboxInputSchema,
  type ExecSandboxRequest,
  type ExecSandboxRequestSchema,
  OpenShell,
} from "../../src/wire/openshell-v1/Generated.ts"
import { streamingHandler, type TypedServerCall } from "../kit/Calls.ts"

interface Home {
  readonly home: string
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** The rules of OpenShell 0.0.111 that a client can trip over. */
const rendered = (request: ExecSandboxRequest): string => {
  if (request.command.length === 0) throw grpcError(Status.INVALID_ARGUMENT, "command is required")
  const words = [...request.command, request.workdir, ...Object.values(request.environment)]
  if (words.some((word) => /[\0\n\r]/.test(word))) {
    throw grpcError(
      Status.INVALID_ARGUMENT,
      "command argument contains newline or carriage return characters",
    )
  }
  if (request.command.some((word) => Buffer.byteLength(word) > 32_768)) {
    throw grpcError(Status.INVALID_ARGUMENT, "command argument exceeds 32768 byte limit")
  }
  const assignments = Object.entries(request.environment).map(([key, value]) => `${key}=${quote(value)}`)
  const cd = request.workdir === "" ? "" : `cd ${quote(request.workdir)} && `
  return cd + [...assignments, ...request.command.map(quote)].join(" ")
}

type Call = Pick<
  TypedServerCall<typeof ExecSandboxInputSchema, typeof ExecSandboxEventSchema>,
  "receive" | "send"
> & { readonly signal: AbortSignal }
type Output = TypedServerCall<typeof ExecSandboxRequestSchema, typeof ExecSandboxEventSchema>["send"]

const environmentOf = ({ home }: Home): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: home,
  LC_ALL: "C.UTF-8",
})

const runPiped = async (
  { home }: Home,
  command: string,
  send: Output,
  signal: AbortSignal,
  input: (child: ChildProcessWithoutNullStreams) => void,
): Promise<void> => {
  const child = spawn("/bin/bash", ["-lc", command], {
    cwd: home,
    env: environmentOf({ home }),
    detached: true,
  })
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGKILL")
  }
  signal.addEventListener("abort", kill)
  child.stdin.on("error", () => undefined)
  input(child)
  const pump = async (source: NodeJS.ReadableStream, kind: "stdout" | "stderr"): Promise<void> => {
    for await (const data of source)
      if (Buffer.isBuffer(data)) await send({ payload: { case: kind, value: { data } } })
  }
  const exited = new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 137)))
  await Promise.all([pump(child.stdout, "stdout"), pump(child.stderr, "stderr")])
  await send({ payload: { case: "exit", value: { exitCode: await exited } } })
}

const runTerminal = async (sandbox: Home, request: ExecSandboxRequest, call: Call): Promise<void> => {
  const terminal = spawnPty("/bin/bash", ["-lc", rendered(request)], {
    cwd: sandbox.home,
    env: environmentOf(sandbox),
    cols: request.cols === 0 ? 80 : request.cols,
    rows: request.rows === 0 ? 24 : request.rows,
    name: "xterm-256color",
  })
  call.signal.addEventListener("abort", () => terminal.kill("SIGKILL"))
  let sending = Promise.resolve()
  terminal.onData((text) => {
    const data = Buffer.from(text, "utf8")
    sending = sending.then(() => call.send({ payload: { case: "stdout", value: { data } } }))
  })
  const exited = new Promise<number>((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)))
  void eachInput(call, {
    stdin: (data) => terminal.write(Buffer.from(data).toString("utf8")),
    resize: (cols, rows) => terminal.resize(cols, rows),
    end: () => undefined,
  })
  const exitCode = await exited
  await sending
  await call.send({ payload: { case: "exit", value: { exitCode } } })
}

interface InputSink {
  readonly stdin: (data: Uint8Array) => void | Promise<void>
  readonly resize: (cols: number, rows: number) => void
  readonly end: () => void
}

const eachInput = async (call: Call, sink: InputSink): Promise<void> => {
  try {
    for (;;) {
      const message = await call.receive()
      if (message === undefined) return sink.end()
      const { payload } = message
      if (payload.case === "stdin") await sink.stdin(payload.value)
      if (payload.case === "resize") sink.resize(payload.value.cols, payload.value.rows)
    }
  } catch {
    return
  }
}

export const execHandlers = (find: (sandboxId: string) => Home): ReadonlyArray<[string, MethodHandler]> => {
  const { execSandbox, execSandboxInteractive } = OpenShell.method
  return [
    [
      methodPath(execSandbox),
      streamingHandler(execSandbox, async ({ call, receive, send }) => {
        const request = await receive()
        if (request === undefined) throw grpcError(Status.INVALID_ARGUMENT, "sandbox_id is required")
        await runPiped(find(request.sandboxId), rendered(request), send, call.signal, (child) => {
          child.stdin.end(Buffer.from(request.stdin))
        })
      }),
    ],
    [
      methodPath(execSandboxInteractive),
      streamingHandler(execSandboxInteractive, ({ receive, send, call }) =>
        converse(find, { receive, send, signal: call.signal }),
      ),
    ],
  ]
}

const converse = async (find: (sandboxId: string) => Home, call: Call): Promise<void> => {
  const first = await call.receive()
  if (first?.payload.case !== "start") {
    throw grpcError(Status.INVALID_ARGUMENT, "first message must be a start payload")
  }
  const request = first.payload.value
  const sandbox = find(request.sandboxId)
  if (request.tty) return runTerminal(sandbox, request, call)
  await runPiped(sandbox, rendered(request), call.send, call.signal, (child) => {
    void eachInput(call, {
      stdin: (data) =>
        child.stdin.write(data)
          ? undefined
          : new Promise<void>((resolve) => {
              const settle = (): void => {
                child.stdin.off("drain", settle).off("close", settle)
                resolve()
              }
              child.stdin.once("drain", settle).once("close", settle)
            }),
      resize: () => undefined,
      end: () => child.stdin.end(),
    })
  })
}

/** The same over a resumable stream: messages with a zero byte and their length in four bytes before them. */
export const serveExecStream = async (
  stream: ResumableDuplex,
  find: (sandboxId: string) => Home,
): Promise<void> => {
  const gone = new AbortController()
  stream.once("close", () => gone.abort())
  const reader = new MessageReader(stream, 1_048_576)
  const receive = async () => {
    const bytes = await reader.read()
    return bytes === undefined ? undefined : fromBinary(ExecSandboxInputSchema, bytes)
  }
  const send = async (event: MessageInitShape<typeof ExecSandboxEventSchema>): Promise<void> => {
    const message = toBinary(ExecSandboxEventSchema, create(ExecSandboxEventSchema, event))
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(message.length, 1)
    await new Promise<void>((resolve) => stream.write(Buffer.concat([prefix, message]), () => resolve()))
  }
  try {
    await converse(find, { receive, send, signal: gone.signal })
    stream.end()
  } catch (cause) {
    stream.abort("target", cause instanceof Error ? cause.message : "no reason")
  }
}
