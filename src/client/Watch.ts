/** A sandbox's life as a stream, and waiting for a phase by it. */
import { Effect, Option, Schedule, Stream } from "effect"
import { DeadlineExceeded, FailedPrecondition, NotFound } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { readyConditionOf, type Sandbox, type SandboxPhase } from "../domain/Sandbox.ts"
import type { WatchEvent as WireEvent } from "../domain/SandboxRequests.ts"
import { logCalls } from "../wire/openshell-v1/Logs.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { publicErrorOfUnknown } from "./StatusErrors.ts"

/** What this version knows of a sandbox's life. */
export type WatchEvent = Exclude<WireEvent, { readonly _tag: "Unknown" }>

const isKnown = (event: WireEvent): event is WatchEvent => event._tag !== "Unknown"

export interface WatchOptions {
  readonly status?: boolean
  readonly logs?: boolean
  readonly events?: boolean
  /** Log lines to send first; 0 leaves it to the gateway (200). */
  readonly logTailLines?: number
  readonly eventTail?: number
  readonly stopWhenReady?: boolean
  readonly sinceMs?: number
  readonly sources?: ReadonlyArray<string>
  readonly minLevel?: string
}

/** Begins with a snapshot; ends when the sandbox is gone. Fails when the connection breaks: see `Follow.ts`. */
export const watchSandbox = (
  client: GatewayClientService,
  sandboxId: string,
  options: WatchOptions,
): Stream.Stream<WatchEvent, ClientError> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const call = yield* client.open(logCalls.watch)
      const request = {
        sandboxId,
        followStatus: options.status ?? false,
        followLogs: options.logs ?? false,
        followEvents: options.events ?? false,
        logTailLines: options.logTailLines ?? 0,
        eventTail: options.eventTail ?? 0,
        stopOnTerminal: options.stopWhenReady ?? false,
        logSinceMs: options.sinceMs ?? 0,
        logSources: options.sources ?? [],
        logMinLevel: options.minLevel ?? "",
      }
      yield* Effect.tryPromise({ try: () => call.send(request), catch: publicErrorOfUnknown })
      call.end()
      const next = Effect.tryPromise({ try: () => call.receive(), catch: publicErrorOfUnknown })
      return Stream.repeatEffectOption(
        Effect.flatMap(Effect.mapError(next, Option.some), (message) =>
          message === undefined ? Effect.fail(Option.none()) : Effect.succeed(message),
        ),
      ).pipe(Stream.filter(isKnown))
    }),
  )

/** Errors after which the same question may be answered by another replica. */
export const passing = (error: ClientError): boolean =>
  error._tag === "Unavailable" || error._tag === "LimitReached" || error._tag === "ConnectFailed"

/** 100 ms doubling to 2 s with jitter, for as long as the caller waits. */
const untilAnswered = Schedule.exponential("100 millis").pipe(
  Schedule.union(Schedule.spaced("2 seconds")),
  Schedule.jittered,
)

export interface WaitOptions {
  /** Ready, or Stopped; "Deleted" waits until the sandbox is gone. */
  readonly phase: SandboxPhase | "Deleted"
  readonly timeoutMs?: number | undefined
  /** Events of before the wait to report; a sandbox just created has some that belong to it. Default 0. */
  readonly eventTail?: number | undefined
  /** Called with each change and event, for progress. */
  readonly onEvent?: (event: WatchEvent) => Effect.Effect<void>
}

/**
 * Waits by WatchSandbox, through lost connections. Fails with FailedPrecondition when the sandbox ends in
 * Error, NotFound when it is deleted meanwhile, DeadlineExceeded when the time is over.
 */
export const waitForPhase = (
  client: GatewayClientService,
  sandbox: Sandbox,
  options: WaitOptions,
): Effect.Effect<Sandbox, ClientError> => {
  const { phase } = options
  const timeoutMs = options.timeoutMs ?? limits.lifecycleWaitMs
  let latest = sandbox
  const verdict = (event: WatchEvent): Effect.Effect<Option.Option<Sandbox>, ClientError> => {
    if (event._tag !== "Status") return Effect.succeedNone
    latest = event.sandbox
    if (latest.status.phase === phase) return Effect.succeedSome(latest)
    return latest.status.phase === "Error" && phase !== "Deleted"
      ? Effect.fail(new FailedPrecondition({ message: reasonOf(latest) }))
      : Effect.succeedNone
  }
  const once = watchSandbox(client, sandbox.id, {
    status: true,
    events: true,
    eventTail: options.eventTail ?? 0,
  }).pipe(
    Stream.tap((event) => options.onEvent?.(event) ?? Effect.void),
    Stream.mapEffect(verdict),
    Stream.filterMap((found) => found),
    Stream.runHead,
  )
  const gone =
    phase === "Deleted" ? Effect.succeed(latest) : Effect.fail(new NotFound({ message: "sandbox not found" }))
  const answered = once.pipe(
    Effect.retry({ while: passing, schedule: untilAnswered }),
    // The stream ends without an error when the sandbox's row is gone.
    Effect.flatMap(Option.match({ onNone: () => gone, onSome: Effect.succeed })),
    Effect.catchTag("NotFound", (error) =>
      phase === "Deleted" ? Effect.succeed(latest) : Effect.fail(error),
    ),
  )
  return answered.pipe(
    Effect.timeoutFail({
      duration: timeoutMs,
      onTimeout: () =>
        new DeadlineExceeded({
          message: `the sandbox is ${latest.status.phase} and not ${phase} after ${timeoutMs / 1_000} s: ${reasonOf(latest)}`,
        }),
    }),
  )
}

const reasonOf = (sandbox: Sandbox): string => {
  const condition = readyConditionOf(sandbox)
  if (condition === undefined) return `phase ${sandbox.status.phase}`
  return condition.message === "" ? condition.reason : `${condition.reason}: ${condition.message}`
}
