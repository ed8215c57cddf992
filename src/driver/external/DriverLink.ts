/**
 * The connection to a compute driver's socket: made when it is needed, made again when the driver restarted, and
 * greeted each time, because the program that comes back may be another version.
 */
import {
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  FiberId,
  Option,
  Schedule,
  type Scope,
  Stream,
} from "effect"
import type { ComputeEvent, DriverCapabilities } from "../../domain/Compute.ts"
import { FailedPrecondition, type PublicError } from "../../domain/Errors.ts"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import * as Calls from "../../wire/compute-v1/Calls.ts"
import * as Methods from "../../wire/compute-v1/Methods.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../wire/grpc/GrpcError.ts"
import type { CalledMethod } from "../../wire/Method.ts"
import { isAway, publicErrorOf } from "./DriverErrors.ts"

export interface DriverLinkConfig {
  /** What the settings call the driver. */
  readonly name: string
  readonly socketPath: string
  /** How long calls wait for a driver that is away, in place of the limit. */
  readonly reconnectMs?: number
}

interface Live {
  readonly connection: GrpcConnection
  readonly capabilities: DriverCapabilities
}

export interface DriverLink {
  /** Of the driver that was last greeted. */
  readonly known: () => DriverCapabilities | undefined
  /** Greets the driver if that is due; does not wait for one that is away. */
  readonly greet: Effect.Effect<DriverCapabilities, PublicError>
  /** Waits up to `reconnectMs` for a driver that is away; the call itself has its own deadline. */
  readonly call: <I, O>(
    method: CalledMethod<I, O>,
    request: (capabilities: DriverCapabilities) => I,
    timeoutMs: number,
  ) => Effect.Effect<O, PublicError>
  /** One watch, until the driver or the connection ends it. */
  readonly watch: Stream.Stream<ComputeEvent, PublicError>
}

const isUnimplemented = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNIMPLEMENTED

export const make = (config: DriverLinkConfig): Effect.Effect<DriverLink, never, Scope.Scope> =>
  Effect.gen(function* () {
    const reconnectMs = config.reconnectMs ?? limits.computeReconnectMs
    const scope = yield* Effect.scope
    let attempt: Deferred.Deferred<Live, unknown> | undefined
    let live: Live | undefined
    let known: DriverCapabilities | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => live?.connection.destroy()))

    const asPublic = (cause: unknown): PublicError => publicErrorOf(config.name, cause)

    const otherContract = (cause: unknown): unknown =>
      isUnimplemented(cause)
        ? new FailedPrecondition({
            message: `the program at ${config.socketPath} does not serve ${Methods.contract}: it is no compute driver, or one of another version`,
          })
        : cause

    /** Rejections are those of the wire. */
    const raw = <I, O>(
      connection: GrpcConnection,
      method: CalledMethod<I, O>,
      request: I,
      timeoutMs: number,
    ) =>
      Effect.tryPromise({
        try: (signal) => Calls.call(connection, method, request, { timeoutMs, signal }),
        catch: (cause): unknown => cause,
      })

    const sayRequirements = (connection: GrpcConnection) =>
      raw(connection, Methods.getListenerRequirements, undefined, limits.computeQueryMs).pipe(
        Effect.tap((requirements) =>
          requirements.length === 0
            ? Effect.void
            : Effect.logWarning(
                `The compute driver asks for listeners on ${requirements.map(({ address, reason }) => `${address} (${reason})`).join(", ")}: add them to --listen if sandboxes cannot reach this gateway`,
              ),
        ),
        Effect.catchIf(isUnimplemented, () => Effect.void),
      )

    const connect: Effect.Effect<Live, unknown> = Effect.gen(function* () {
      const connection = yield* Effect.tryPromise({
        try: (signal) => Calls.connect(config.socketPath, signal),
        catch: (cause): unknown => cause,
      })
      return yield* raw(connection, Methods.getCapabilities, undefined, limits.computeQueryMs).pipe(
        Effect.mapError(otherContract),
        Effect.tap(() => sayRequirements(connection)),
        Effect.map((capabilities) => ({ connection, capabilities })),
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => connection.destroy()),
        ),
      )
    }).pipe(
      Effect.tap(({ capabilities }) =>
        Effect.logInfo(
          `Compute driver ${capabilities.driverName} ${capabilities.driverVersion} serves at ${config.socketPath}`,
        ),
      ),
    )

    /** One attempt at a time, whose outcome is everybody's: many callers must not wait for each other's failures. */
    const acquire: Effect.Effect<Live, unknown> = Effect.suspend(() => {
      if (live !== undefined && !live.connection.draining) return Effect.succeed(live)
      if (attempt !== undefined) return Deferred.await(attempt)
      const outcome = Deferred.unsafeMake<Live, unknown>(FiberId.none)
      attempt = outcome
      const settle = (exit: Exit.Exit<Live, unknown>) => {
        attempt = undefined
        if (Exit.isSuccess(exit)) {
          live = exit.value
          known = exit.value.capabilities
        }
        return Deferred.done(outcome, exit)
      }
      return connect.pipe(
        Effect.onExit((exit) => Effect.suspend(() => settle(exit))),
        Effect.forkIn(scope),
        Effect.zipRight(Deferred.await(outcome)),
      )
    })

    const patiently = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> =>
      Effect.flatMap(Clock.currentTimeMillis, (startedAtMs) =>
        Effect.retry(effect, {
          schedule: Schedule.spaced(Duration.millis(limits.computeRetryMs)).pipe(Schedule.jittered),
          while: (cause) =>
            Effect.map(
              Clock.currentTimeMillis,
              (nowMs) => isAway(cause) && nowMs - startedAtMs < reconnectMs,
            ),
        }),
      )

    return {
      known: () => known,
      greet: Effect.mapBoth(acquire, { onFailure: asPublic, onSuccess: ({ capabilities }) => capabilities }),
      call: (method, request, timeoutMs) =>
        patiently(
          Effect.flatMap(acquire, ({ connection, capabilities }) =>
            raw(connection, method, request(capabilities), timeoutMs),
          ),
        ).pipe(Effect.mapError(asPublic)),
      watch: Stream.unwrapScoped(
        Effect.gen(function* () {
          const { connection } = yield* acquire
          const open = yield* Effect.acquireRelease(
            Effect.try({
              try: () => Calls.watch(connection, Methods.watchSandboxes, undefined),
              catch: (cause): unknown => cause,
            }),
            (watch) => Effect.sync(watch.cancel),
          )
          return Stream.repeatEffect(
            Effect.tryPromise({ try: () => open.receive(), catch: (cause): unknown => cause }),
          ).pipe(
            Stream.takeWhile((next) => next !== "end"),
            Stream.filterMap(({ message }) => Option.fromNullable(message)),
          )
        }),
      ).pipe(Stream.mapError(asPublic)),
    } satisfies DriverLink
  })
