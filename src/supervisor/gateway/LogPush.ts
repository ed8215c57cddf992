/**
 * Sends the supervisor's own log lines to the gateway, on a connection of its own so that a flood of them
 * never delays a relay. What cannot be sent is kept within bounds and then dropped, oldest first.
 */
import { Chunk, Effect, HashMap, Logger, LogLevel, Queue, Schedule, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import type { PushedLine, PushedLines } from "../../domain/SandboxRequests.ts"
import { Status } from "../../domain/Status.ts"
import { type OpenCall, openCall } from "../../wire/grpc/Calls.ts"
import { type GrpcError, grpcError, toGrpcError } from "../../wire/grpc/GrpcError.ts"
import { logCalls } from "../../wire/openshell-v1/Logs.ts"
import type { GatewayLink } from "./GatewayLink.ts"

export type LogQueue = Queue.Queue<PushedLine>

export const makeQueue: Effect.Effect<LogQueue> = Queue.sliding(limits.logPushQueue)

const cut = (text: string): string =>
  Buffer.byteLength(text) <= limits.logLineBytes
    ? text
    : `${Buffer.from(text).subarray(0, limits.logLineBytes).toString()}…`

/** Puts lines of `level` and above into the queue; never waits. */
export const queueLogger = (queue: LogQueue, level: LogLevel.LogLevel): Logger.Logger<unknown, void> =>
  Logger.make(({ logLevel, message, annotations, date }) => {
    if (LogLevel.lessThan(logLevel, level)) return
    const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
    queue.unsafeOffer({
      timestampMs: date.getTime(),
      level: logLevel.label,
      target: "holdfast::supervisor",
      message: cut(parts.map(String).join(" ")),
      fields: Object.fromEntries(
        [...HashMap.entries(annotations)].map(([name, value]) => [name, cut(String(value))]),
      ),
    })
  })

type PushCall = OpenCall<PushedLines, unknown>

/** Lines that a lost stream did not take. */
class Backlog {
  #lines: ReadonlyArray<PushedLine> = []

  take(): ReadonlyArray<PushedLine> {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  keep(lines: ReadonlyArray<PushedLine>): void {
    this.#lines = [...this.#lines, ...lines].slice(-limits.logPushBacklog)
  }
}

/** At least one line, then whatever comes within the interval, up to a batch. */
const batch = (queue: LogQueue): Effect.Effect<ReadonlyArray<PushedLine>> =>
  Effect.gen(function* () {
    const first = yield* Queue.take(queue)
    yield* Effect.sleep(limits.logPushIntervalMs).pipe(
      Effect.raceFirst(
        Effect.repeat(Queue.size(queue), {
          until: (size) => size >= limits.logPushLines - 1,
          schedule: Schedule.spaced(limits.logPushPollMs),
        }),
      ),
    )
    const rest = yield* Queue.takeUpTo(queue, limits.logPushLines - 1)
    return [first, ...Chunk.toReadonlyArray(rest)]
  })

const pushOn = (
  call: PushCall,
  sandboxId: string,
  queue: LogQueue,
  backlog: Backlog,
): Effect.Effect<never, GrpcError> => {
  const send = (lines: ReadonlyArray<PushedLine>): Effect.Effect<void, GrpcError> =>
    lines.length === 0
      ? Effect.void
      : Effect.tryPromise({
          try: () => call.send({ sandboxId, lines }),
          catch: toGrpcError,
        }).pipe(Effect.onExit((exit) => Effect.sync(() => exit._tag === "Failure" && backlog.keep(lines))))
  const over = Effect.promise(() => call.call.status).pipe(
    Effect.flatMap((error) => error ?? grpcError(Status.UNAVAILABLE, "the gateway ended the log stream")),
  )
  return Effect.suspend(() => send(backlog.take().slice(0, limits.logPushLines))).pipe(
    Effect.zipRight(Effect.forever(Effect.flatMap(batch(queue), send))),
    Effect.raceFirst(over),
  )
}

const pushOnce = (
  link: GatewayLink,
  sandboxId: string,
  queue: LogQueue,
  backlog: Backlog,
): Effect.Effect<never, GrpcError> =>
  link.connection.pipe(
    Effect.flatMap((connection) =>
      Effect.try({ try: () => openCall(connection, logCalls.push), catch: toGrpcError }),
    ),
    Effect.tap((call) => Effect.addFinalizer(() => Effect.sync(() => call.cancel()))),
    Effect.flatMap((call) => pushOn(call, sandboxId, queue, backlog)),
    Effect.scoped,
  )

/** Ends only when the gateway says that this sandbox may not push. */
export const pushLogs = (
  link: GatewayLink,
  sandboxId: string,
  queue: LogQueue,
): Effect.Effect<void, never, Scope.Scope> => {
  const backlog = new Backlog()
  const pause = Schedule.exponential(limits.logPushPauseMs).pipe(
    Schedule.union(Schedule.spaced(limits.logPushPauseCapMs)),
    Schedule.jittered,
    Schedule.resetAfter(2 * limits.logPushPauseCapMs),
  )
  return pushOnce(link, sandboxId, queue, backlog).pipe(
    Effect.retry({ schedule: pause, while: (error) => error.code !== Status.UNAUTHENTICATED }),
    Effect.catchAll(() => Effect.void),
  )
}
