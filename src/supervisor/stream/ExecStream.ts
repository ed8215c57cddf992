/**
 * A command over a resumable stream, in the messages of `wire/ExecStream.ts`.
 */
import type { Writable } from "node:stream"
import {
  type ExecInput,
  type ExecStart,
  refusalOfExec,
  renderCommand,
  timedOutExitCode,
  tooLongText,
} from "../../domain/ExecRequest.ts"
import { limits } from "../../domain/Limits.ts"
import type { ResumableDuplex } from "../../stream/ResumableDuplex.ts"
import { execStream } from "../../wire/ExecStream.ts"
import { MessageReader } from "../../wire/grpc/MessageReader.ts"
import { writeFrame } from "../../wire/grpc/MessageWriter.ts"
import { clampTimerMs } from "../../wire/grpc/Metadata.ts"
import type { Launcher } from "../process/Launcher.ts"
import { exitCode, type RunningChild } from "../process/RunningChild.ts"
import { serveChild } from "../process/ServeChild.ts"
import { shellArguments } from "../process/ShellArguments.ts"

/** The shell's code for a command that cannot be run. */
const cannotRunCode = 126
const terminalType = "xterm-256color"

const receive = async (reader: MessageReader): Promise<ExecInput | undefined> => {
  const bytes = await reader.read()
  return bytes === undefined ? undefined : execStream.decodeInput(bytes)
}

/** Serves one stream to its end; never rejects. */
export const serveExec = async (stream: ResumableDuplex, launcher: Launcher): Promise<void> => {
  const reader = new MessageReader(stream, limits.inboundMessageBytes)
  try {
    const hurry = setTimeout(() => stream.abort("target", "no command was sent"), limits.resumeHelloMs)
    const first = await receive(reader).finally(() => clearTimeout(hurry))
    if (first?._tag !== "Start") return stream.abort("target", "first message must be a start payload")
    const request = first.start
    const command = renderCommand(request)
    const refusal = refusalOfExec(request) ?? (command === undefined ? tooLongText : undefined)
    if (refusal !== undefined || command === undefined) return stream.abort("target", refusal ?? tooLongText)
    await run(stream, reader, launcher, request, command)
  } catch (cause) {
    stream.abort("protocol", cause instanceof Error ? cause.message : "unreadable input")
  }
}

const run = async (
  stream: ResumableDuplex,
  reader: MessageReader,
  launcher: Launcher,
  request: ExecStart,
  command: string,
): Promise<void> => {
  const child = await launch(launcher, request, command)
  if (typeof child === "string") {
    send(stream, Buffer.from(`holdfast: cannot start a process: ${child}\n`), true, () => undefined)
    finish(stream, cannotRunCode)
    return
  }
  const gone = Promise.withResolvers<void>()
  stream.once("close", gone.resolve)
  if (stream.closed) gone.resolve()
  const timeout =
    request.timeoutSeconds === 0
      ? undefined
      : setTimeout(
          () => {
            finish(stream, timedOutExitCode)
            gone.resolve()
          },
          clampTimerMs(request.timeoutSeconds * 1_000),
        )
  const served = serveChild(child, {
    send: (chunk, errors, done) => send(stream, chunk, errors, done),
    exit: (exit) => {
      clearTimeout(timeout)
      finish(stream, exitCode(exit))
    },
    background: false,
    gone: gone.promise,
  })
  void gone.promise.then(() => clearTimeout(timeout))
  if (request.stdin.length > 0) await write(child.stdin, request.stdin)
  await feed(reader, child)
  await served
}

/** A child, or why there is none. */
const launch = async (
  launcher: Launcher,
  request: ExecStart,
  command: string,
): Promise<RunningChild | string> => {
  const size = { cols: request.cols, rows: request.rows }
  try {
    return await launcher.launch({
      argv: [launcher.shell, "-lc", ...shellArguments(command)],
      ...(request.tty ? { terminal: { term: terminalType, ...size } } : {}),
    })
  } catch (cause) {
    // Out of descriptors, processes or terminals.
    return cause instanceof Error ? cause.message : "unknown reason"
  }
}

const send = (stream: ResumableDuplex, chunk: Buffer, errors: boolean, done: () => void): void => {
  stream.write(execStream.outputHeader(errors ? "stderr" : "stdout", chunk.length))
  stream.write(chunk, done)
}

/** The last message of the command. A client that has it and does not end its direction is not waited for. */
const finish = (stream: ResumableDuplex, code: number): void => {
  if (stream.destroyed || stream.writableEnded) return
  writeFrame(stream, execStream.encodeEvent({ _tag: "Exit", exitCode: code }))
  stream.end()
  const timer = setTimeout(() => stream.abort("cancelled", "the command has ended"), limits.resumeWindowMs)
  stream.once("close", () => clearTimeout(timer))
}

/** Input and window changes until the client ends its direction; what comes after the command's end is dropped. */
const feed = async (reader: MessageReader, child: RunningChild): Promise<void> => {
  for (let message = await receive(reader); message !== undefined; message = await receive(reader)) {
    if (message._tag === "Stdin" && message.data.length > 0) await write(child.stdin, message.data)
    else if (message._tag === "Resize") child.resize(message)
    else if (message._tag === "Start") throw new Error("a second start message")
  }
  // The end of a client's input is no hang-up of the terminal.
  if (child.stderr !== undefined) child.stdin.end()
}

const write = (stdin: Writable, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    if (stdin.destroyed || !stdin.writable || stdin.write(bytes)) return resolve()
    const done = (): void => {
      stdin.off("drain", done)
      stdin.off("close", done)
      resolve()
    }
    stdin.once("drain", done)
    stdin.once("close", done)
  })
