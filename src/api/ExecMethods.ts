/** `ExecSandbox` and `ExecSandboxInteractive`. */
import type { DescMessage } from "@bufbuild/protobuf"
import { Duration, Effect, Fiber, Option } from "effect"
import type { ClientChannel } from "ssh2"
import { InvalidArgument, Unavailable } from "../domain/Errors.ts"
import { renderCommand, timedOutExitCode, tooLongText } from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import { noExitStatus, type RunningExec, startExec } from "../edge/ExecSession.ts"
import { ReplicaStreams } from "../edge/ReplicaStreams.ts"
import { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import type { GrpcError } from "../wire/grpc/GrpcError.ts"
import type { TypedServerCall } from "../wire/grpc/Typed.ts"
import { type ExecSandboxEventSchema, type ExecSandboxRequest, OpenShell } from "../wire/OpenShell.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import { openShellAccess as access } from "./Access.ts"
import { receive, send, streaming } from "./Endpoint.ts"
import { execOverStream } from "./ExecOverStream.ts"
import { relayFailure } from "./ForwardMethods.ts"
import { type Caller, visible } from "./Lookup.ts"
import { bindingOf } from "./StreamCarriers.ts"
import * as Validate from "./Validate.ts"

const { method } = OpenShell

type Output<I extends DescMessage> = TypedServerCall<I, typeof ExecSandboxEventSchema>

/** Whether output still moves: bytes came lately, or the client is slow to take what came. */
class Progress {
  #sending = 0
  #lastAt = performance.now()

  readonly during = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      this.#sending += 1
      return Effect.ensuring(
        effect,
        Effect.sync(() => {
          this.#sending -= 1
          this.#lastAt = performance.now()
        }),
      )
    })

  /** Completes once nothing has moved for `execDrainMs`. */
  readonly stalled: Effect.Effect<void> = Effect.suspend(() => {
    const quietMs = this.#sending > 0 ? 0 : performance.now() - this.#lastAt
    if (quietMs >= limits.execDrainMs) return Effect.void
    return Effect.zipRight(Effect.sleep(limits.execDrainMs - quietMs), this.stalled)
  })
}

/** Copies one output of the command to the client, no faster than the client reads. */
const copyOut = <I extends DescMessage>(
  typed: Output<I>,
  source: AsyncIterable<Buffer>,
  kind: "stdout" | "stderr",
  progress: Progress,
): Effect.Effect<void, GrpcError | Unavailable> =>
  Effect.gen(function* () {
    const iterator = source[Symbol.asyncIterator]()
    while (true) {
      const next = yield* Effect.tryPromise({
        try: () => iterator.next(),
        catch: () => new Unavailable({ message: noExitStatus }),
      })
      if (next.done === true) return
      for (let at = 0; at < next.value.length; at += limits.execChunkBytes)
        yield* progress.during(
          send(typed, {
            payload: { case: kind, value: { data: next.value.subarray(at, at + limits.execChunkBytes) } },
          }),
        )
    }
  })

/** A stream to a supervisor that runs the command itself, or the command on an SSH connection from here. */
const open = (
  request: ExecSandboxRequest,
  caller: Caller,
  defaultSize: { readonly cols: number; readonly rows: number },
) =>
  Effect.gen(function* () {
    yield* Validate.exec(request)
    const command = renderCommand(request)
    if (command === undefined) return yield* new InvalidArgument({ message: tooLongText })
    yield* visible(caller, request.sandboxId)
    const streams = yield* ReplicaStreams
    const opened = yield* relayFailure(
      streams.open({
        sandboxId: request.sandboxId,
        target: { kind: "ssh" },
        kind: "exec",
        serviceId: "exec",
        tokenHash: "",
        binding: bindingOf(caller.principal, request.sandboxId),
      }),
    )
    if (opened._tag === "Stream") return opened.stream
    const terminal = request.tty
      ? { cols: request.cols || defaultSize.cols, rows: request.rows || defaultSize.rows }
      : undefined
    return yield* startExec(new RelayDuplex(opened.leg), command, terminal)
  })

/** Output, then the exit event; a command that outlives its timeout ends with exit code 124. */
const pump = <I extends DescMessage>(
  typed: Output<I>,
  { channel, exit }: RunningExec,
  timeoutSeconds: number,
) =>
  Effect.gen(function* () {
    const progress = new Progress()
    const copying = yield* Effect.fork(
      Effect.all(
        [copyOut(typed, channel, "stdout", progress), copyOut(typed, channel.stderr, "stderr", progress)],
        { concurrency: 2, discard: true },
      ),
    )
    const code = yield* Effect.promise(() => exit).pipe(
      timeoutSeconds === 0 ? Effect.map(Option.some) : Effect.timeoutOption(Duration.seconds(timeoutSeconds)),
    )
    const exitCode = Option.getOrElse(code, () => timedOutExitCode)
    if (Option.isSome(code)) yield* Effect.raceFirst(Effect.ignore(Fiber.join(copying)), progress.stalled)
    yield* Fiber.interruptFork(copying)
    if (exitCode === undefined) return yield* new Unavailable({ message: noExitStatus })
    yield* send(typed, { payload: { case: "exit", value: { exitCode } } })
  })

const execSandbox = streaming(method.execSandbox, access.execSandbox, (typed, caller) =>
  Effect.gen(function* () {
    const request = yield* receive(typed)
    if (request === undefined) return yield* new InvalidArgument({ message: "sandbox_id is required" })
    const running = yield* open(request, caller, { cols: 0, rows: 0 })
    if (running instanceof ResumableDuplex) return yield* execOverStream(typed, running, request, false)
    typed.call.sendHeaders()
    running.channel.end(Buffer.from(request.stdin))
    yield* pump(typed, running, request.timeoutSeconds)
  }).pipe(Effect.scoped),
)

/** Standard input and window changes until the client half-closes. */
const feed = (
  typed: TypedServerCall<typeof method.execSandboxInteractive.input, typeof ExecSandboxEventSchema>,
  channel: ClientChannel,
) =>
  Effect.gen(function* () {
    while (true) {
      const message = yield* receive(typed)
      if (message === undefined) {
        channel.end()
        return
      }
      const { payload } = message
      if (payload.case === "stdin" && payload.value.length > 0) {
        if (!channel.write(payload.value))
          yield* Effect.async<void>((resume) => {
            const done = () => resume(Effect.void)
            channel.once("drain", done)
            channel.once("close", done)
          })
      } else if (payload.case === "resize") channel.setWindow(payload.value.rows, payload.value.cols, 0, 0)
    }
  })

const execSandboxInteractive = streaming(
  method.execSandboxInteractive,
  access.execSandboxInteractive,
  (typed, caller) =>
    Effect.gen(function* () {
      const first = yield* receive(typed)
      if (first === undefined)
        return yield* new InvalidArgument({ message: "empty stream: expected start message" })
      if (first.payload.case !== "start")
        return yield* new InvalidArgument({ message: "first message must be a start payload" })
      const request = first.payload.value
      const running = yield* open(request, caller, { cols: 80, rows: 24 })
      if (running instanceof ResumableDuplex) return yield* execOverStream(typed, running, request, true)
      typed.call.sendHeaders()
      if (request.stdin.length > 0) running.channel.write(request.stdin)
      yield* feed(typed, running.channel).pipe(Effect.ignore, Effect.forkScoped)
      yield* pump(typed, running, request.timeoutSeconds)
    }).pipe(Effect.scoped),
)

export const execEndpoints = [execSandbox, execSandboxInteractive]
