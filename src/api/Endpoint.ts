/** From an Effect to a gRPC method: authentication, authorization, status mapping, cancellation, logs. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { Cause, Effect, Exit, Option, Runtime } from "effect"
import type { SandboxTokens } from "../auth/SandboxTokens.ts"
import { errorTable, type PublicError } from "../domain/Errors.ts"
import { Status, statusName } from "../domain/Status.ts"
import { Metrics } from "../observe/Metrics.ts"
import { GrpcError, grpcError } from "../wire/grpc/GrpcError.ts"
import type { MethodHandler, ServerCall } from "../wire/grpc/GrpcServer.ts"
import {
  methodPath,
  streamingHandler,
  type TypedMethod,
  type TypedServerCall,
  unaryHandler,
} from "../wire/grpc/Typed.ts"
import type { Access } from "./Access.ts"
import { authorize, type Identify, type Principal } from "./Principal.ts"

export type Failure = PublicError | GrpcError

/** What every method needs besides its own services. */
export type Common = SandboxTokens | Metrics

export interface Context {
  readonly call: ServerCall
  readonly principal: Principal
  /** What the method asks of its caller; the role is checked where the workspace is known. */
  readonly access: Access
}

/**
 * A stream that was set up and now lives without a fiber: a fiber that only waits for the end of a session or
 * relay holds tens of kilobytes. A rejection becomes the call's status.
 */
export class Lasting {
  readonly until: Promise<void>
  constructor(until: Promise<void>) {
    this.until = until
  }
}

/** A method with its handler, not yet bound to a listener. */
export interface Endpoint<R> {
  readonly path: string
  readonly bind: (runtime: Runtime.Runtime<R | Common>, identify: Identify) => MethodHandler
}

const toStatus = (failure: Failure): GrpcError =>
  failure instanceof GrpcError ? failure : grpcError(errorTable[failure._tag].status, failure.message)

const outcome = (exit: Exit.Exit<unknown, Failure>): GrpcError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const failure = Cause.failureOption(exit.cause)
  if (Option.isSome(failure)) return toStatus(failure.value)
  return Cause.isInterruptedOnly(exit.cause)
    ? grpcError(Status.CANCELLED, "the call was cancelled")
    : grpcError(Status.INTERNAL, "internal error")
}

export const run = async <A, R>(
  runtime: Runtime.Runtime<R | Common>,
  identify: Identify,
  access: Access,
  call: ServerCall,
  handle: (context: Context) => Effect.Effect<A, Failure, R>,
): Promise<A> => {
  const method = call.path.slice(1)
  const guarded = Effect.gen(function* () {
    const principal = yield* identify(call)
    yield* authorize(principal, access)
    return yield* handle({ call, principal, access })
  }).pipe(
    Effect.annotateLogs({ request: call.requestId, method }),
    Effect.onExit((exit) =>
      Effect.gen(function* () {
        const metrics = yield* Metrics
        const error = outcome(exit)
        metrics.grpcRequests.inc({ method, code: statusName(error?.code ?? Status.OK) })
        if (error === undefined) return
        if (error.code === Status.INTERNAL && Exit.isFailure(exit))
          yield* Effect.logError("Call failed", exit.cause)
        else yield* Effect.logInfo("Call refused", { code: statusName(error.code), reason: error.message })
      }).pipe(Effect.annotateLogs({ request: call.requestId, method })),
    ),
  )
  const exit = await Runtime.runPromiseExit(runtime)(guarded, { signal: call.signal })
  if (Exit.isSuccess(exit)) return exit.value
  throw outcome(exit)
}

export const unary = <I extends DescMessage, O extends DescMessage, R>(
  method: DescMethodUnary<I, O>,
  access: Access,
  handle: (request: MessageShape<I>, context: Context) => Effect.Effect<MessageInitShape<O>, Failure, R>,
): Endpoint<R> => ({
  path: methodPath(method),
  bind: (runtime, identify) =>
    unaryHandler(method, (request, call) =>
      run(runtime, identify, access, call, (context) => handle(request, context)),
    ),
})

export const streaming = <I extends DescMessage, O extends DescMessage, R>(
  method: TypedMethod<I, O>,
  access: Access,
  handle: (typed: TypedServerCall<I, O>, context: Context) => Effect.Effect<unknown, Failure, R>,
): Endpoint<R> => ({
  path: methodPath(method),
  bind: (runtime, identify) =>
    streamingHandler(method, async (typed) => {
      const outcome = await run(runtime, identify, access, typed.call, (context) => handle(typed, context))
      if (outcome instanceof Lasting) await outcome.until
    }),
})

/** The next message of a stream, with its failure as it will be answered. */
export const receive = <I extends DescMessage, O extends DescMessage>(
  typed: TypedServerCall<I, O>,
): Effect.Effect<MessageShape<I> | undefined, GrpcError> =>
  Effect.tryPromise({ try: typed.receive, catch: asGrpcError })

export const send = <I extends DescMessage, O extends DescMessage>(
  typed: TypedServerCall<I, O>,
  message: MessageInitShape<O>,
): Effect.Effect<void, GrpcError> => Effect.tryPromise({ try: () => typed.send(message), catch: asGrpcError })

const asGrpcError = (cause: unknown): GrpcError =>
  cause instanceof GrpcError ? cause : grpcError(Status.INTERNAL, "internal error")
