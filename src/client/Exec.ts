/** Commands in a sandbox: over a resumable stream, or by OpenShell's calls where that is not known. */
import type { Readable, Writable } from "node:stream"
import { Effect } from "effect"
import { InvalidArgument, Unavailable } from "../domain/Errors.ts"
import type { ExecStart } from "../domain/ExecRequest.ts"
import { StreamReset } from "../stream/Outcome.ts"
import { execCalls } from "../wire/openshell-v1/Exec.ts"
import { callOverInteractive, callOverStream, type ExecCall } from "./ExecCall.ts"
import { feed } from "./ExecInput.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import type { StallListener } from "./Stalls.ts"
import { publicErrorOfUnknown } from "./StatusErrors.ts"

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export interface ExecRequest {
  readonly sandboxId: string
  readonly command: ReadonlyArray<string>
  readonly workdir?: string | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** After this the sandbox ends the command and the exit code is 124; whole seconds, 0 for never. */
  readonly timeoutSeconds?: number | undefined
  /** Asks for a terminal of this size. */
  readonly terminal?: TerminalSize | undefined
}

export interface ExecStreams {
  /** Its end becomes the command's end of input. Absent: the command reads nothing. */
  readonly stdin?: Readable | undefined
  readonly stdout: Writable
  readonly stderr: Writable
  /** Subscribes to changes of the terminal's size; returns how to unsubscribe. */
  readonly onResize?: ((listener: (size: TerminalSize) => void) => () => void) | undefined
  readonly onStall?: StallListener | undefined
}

/**
 * Runs a command to its end and returns its exit code. Interrupting it cancels the call, which kills the
 * command. Output is written as the streams take it, so a slow reader slows the command down.
 *
 * The command goes on through the loss of replicas where the sandbox can do that; elsewhere it ends with the
 * relay that carries it.
 */
export const exec = (
  client: GatewayClientService,
  request: ExecRequest,
  streams: ExecStreams,
): Effect.Effect<number, ClientError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { sandboxId } = request
      const stream = yield* client.openExecStream({ sandboxId, serviceId: "exec", onStall: streams.onStall })
      if (stream !== undefined) return yield* converse(callOverStream(stream), request, streams)
      if (streams.stdin === undefined && streams.onResize === undefined)
        return yield* execOutput(client, request, streams)
      const call = yield* client.open(execCalls.interactive)
      return yield* converse(callOverInteractive(call), request, streams)
    }),
  )

const startOf = (request: ExecRequest): ExecStart => ({
  sandboxId: request.sandboxId,
  command: request.command,
  workdir: request.workdir ?? "",
  environment: request.environment ?? {},
  timeoutSeconds: request.timeoutSeconds ?? 0,
  stdin: new Uint8Array(),
  tty: request.terminal !== undefined,
  cols: request.terminal?.columns ?? 0,
  rows: request.terminal?.rows ?? 0,
})

/** OpenShell's call for commands without input. */
const execOutput = Effect.fn("client.exec")(function* (
  client: GatewayClientService,
  request: ExecRequest,
  streams: ExecStreams,
) {
  const call = yield* client.open(execCalls.run)
  return yield* Effect.tryPromise({
    try: async () => {
      await call.send(startOf(request))
      call.end()
      return await deliver(call, streams)
    },
    catch: publicErrorOfUnknown,
  })
})

const converse = Effect.fn("client.exec.converse")(function* (
  call: ExecCall,
  request: ExecRequest,
  streams: ExecStreams,
) {
  const { stdin, onResize } = streams
  return yield* Effect.tryPromise({
    try: async () => {
      await call.send({ _tag: "Start", start: startOf(request) })
      const unsubscribe = onResize?.(({ columns, rows }) => {
        // A size that cannot be sent any more belongs to a call that is over.
        call.send({ _tag: "Resize", cols: columns, rows }).catch(() => undefined)
      })
      const input =
        stdin === undefined ? undefined : feed(stdin, (data) => call.send({ _tag: "Stdin", data }), call)
      if (stdin === undefined && onResize === undefined) call.end()
      try {
        const code = await Promise.race([
          deliver(call, streams),
          ...(input === undefined ? [] : [input.failed]),
        ])
        input?.stop()
        await call.finish()
        return code
      } finally {
        unsubscribe?.()
        input?.stop()
      }
    },
    catch: execError,
  })
})

/** A supervisor that does not take the request resets the stream with the reason; nothing was run. */
const execError = (cause: unknown): ClientError =>
  cause instanceof StreamReset && cause.by === "peer" && cause.code === "target"
    ? new InvalidArgument({ message: cause.message })
    : publicErrorOfUnknown(cause)

/** Passes output on until the exit code arrives. */
const deliver = async (call: Pick<ExecCall, "receive">, streams: ExecStreams): Promise<number> => {
  for (;;) {
    const event = await call.receive()
    if (event === undefined) {
      throw new Unavailable({ message: "exec relay closed before the command reported an exit status" })
    }
    if (event._tag === "Exit") return event.exitCode
    if (event._tag === "Stdout") await writeAll(streams.stdout, event.data)
    if (event._tag === "Stderr") await writeAll(streams.stderr, event.data)
  }
}

/** Resolves when the stream takes more; a stream that closed has no reader, and output is dropped. */
const writeAll = (stream: Writable, data: Uint8Array): Promise<void> => {
  if (data.length === 0 || stream.destroyed || stream.write(data)) return Promise.resolve()
  return new Promise((resolve) => {
    const settle = (): void => {
      stream.off("drain", settle)
      stream.off("close", settle)
      resolve()
    }
    stream.once("drain", settle)
    stream.once("close", settle)
  })
}
