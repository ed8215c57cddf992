/** `ExecSandbox` and `ExecSandboxInteractive`. */
import { Duration, Effect, Fiber, Option } from "effect"
import type { ClientChannel } from "ssh2"
import { InvalidArgument, Unavailable } from "../domain/Errors.ts"
import {
  type ExecEvent,
  type ExecInput,
  type ExecStart,
  renderCommand,
  timedOutExitCode,
  tooLongText,
} from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import { noExitStatus, type RunningExec, startExec } from "../edge/ExecSession.ts"
import { ReplicaStreams } from "../edge/ReplicaStreams.ts"
import { ResumableDuplex } from "../stream/ResumableDuplex.ts"
import { RelayDuplex } from "../wire/RelayDuplex.ts"
import { openShellAccess as access } from "./Access.ts"
import { execOverStream } from "./ExecOverStream.ts"
import { relayFailure } from "./ForwardMethods.ts"
import { type Caller, visible } from "./Lookup.ts"
import { type Exchange, type Failure, receive, send, streaming } from "./Operation.ts"
import { bindingOf } from "./StreamCarriers.ts"
import * as Validate from "./Validate.ts"

type Output = Exchange<unknown, ExecEvent>

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
const copyOut = (
  exchange: Output,
  source: AsyncIterable<Buffer>,
  kind: "Stdout" | "Stderr",
  progress: Progress,
): Effect.Effect<void, Failure> =>
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
          send(exchange, { _tag: kind, data: next.value.subarray(at, at + limits.execChunkBytes) }),
        )
    }
  })

/** A stream to a supervisor that runs the command itself, or the command on an SSH connection from here. */
const open = (
  request: ExecStart,
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
const pump = (exchange: Output, { channel, exit }: RunningExec, timeoutSeconds: number) =>
  Effect.gen(function* () {
    const progress = new Progress()
    const copying = yield* Effect.fork(
      Effect.all(
        [
          copyOut(exchange, channel, "Stdout", progress),
          copyOut(exchange, channel.stderr, "Stderr", progress),
        ],
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
    yield* send(exchange, { _tag: "Exit", exitCode })
  })

const execSandbox = streaming(access.execSandbox, (exchange: Exchange<ExecStart, ExecEvent>, caller) =>
  Effect.gen(function* () {
    const request = yield* receive(exchange)
    if (request === undefined) return yield* new InvalidArgument({ message: "sandbox_id is required" })
    const running = yield* open(request, caller, { cols: 0, rows: 0 })
    if (running instanceof ResumableDuplex) return yield* execOverStream(exchange, running, request)
    exchange.call.sendHeaders()
    running.channel.end(Buffer.from(request.stdin))
    yield* pump(exchange, running, request.timeoutSeconds)
  }).pipe(Effect.scoped),
)

/** Standard input and window changes until the client half-closes. */
const feed = (exchange: Exchange<ExecInput, ExecEvent>, channel: ClientChannel) =>
  Effect.gen(function* () {
    while (true) {
      const message = yield* receive(exchange)
      if (message === undefined) {
        channel.end()
        return
      }
      if (message._tag === "Stdin" && message.data.length > 0) {
        if (!channel.write(message.data))
          yield* Effect.async<void>((resume) => {
            const done = () => resume(Effect.void)
            channel.once("drain", done)
            channel.once("close", done)
          })
      } else if (message._tag === "Resize") channel.setWindow(message.rows, message.cols, 0, 0)
    }
  })

const execSandboxInteractive = streaming(
  access.execSandboxInteractive,
  (exchange: Exchange<ExecInput, ExecEvent>, caller) =>
    Effect.gen(function* () {
      const first = yield* receive(exchange)
      if (first === undefined)
        return yield* new InvalidArgument({ message: "empty stream: expected start message" })
      if (first._tag !== "Start")
        return yield* new InvalidArgument({ message: "first message must be a start payload" })
      const request = first.start
      const running = yield* open(request, caller, { cols: 80, rows: 24 })
      if (running instanceof ResumableDuplex)
        return yield* execOverStream(exchange, running, request, exchange)
      exchange.call.sendHeaders()
      if (request.stdin.length > 0) running.channel.write(request.stdin)
      yield* feed(exchange, running.channel).pipe(Effect.ignore, Effect.forkScoped)
      yield* pump(exchange, running, request.timeoutSeconds)
    }).pipe(Effect.scoped),
)

export const execOperations = { run: execSandbox, interactive: execSandboxInteractive }
