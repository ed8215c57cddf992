/** An operation behind a method: authentication, authorization, status mapping, cancellation, logs. */
import { Cause, Effect, Exit, Option, Runtime } from "effect"
import type { SandboxTokens } from "../auth/SandboxTokens.ts"
import { errorTable } from "../domain/Errors.ts"
import { Status, statusName } from "../domain/Status.ts"
import { Metrics } from "../observe/Metrics.ts"
import { GrpcError, grpcError } from "../wire/grpc/GrpcError.ts"
import type { MethodHandler, ServerCall } from "../wire/grpc/GrpcServer.ts"
import { writeMessage } from "../wire/grpc/MessageWriter.ts"
import type { ServedMethod } from "../wire/Method.ts"
import type { Access } from "./Access.ts"
import {
  answerable,
  type Context,
  type Exchange,
  type Failure,
  Lasting,
  type StreamingOperation,
  type UnaryOperation,
} from "./Operation.ts"
import { authorize, type Identify } from "./Principal.ts"

/** What every method needs besides its own services. */
export type Common = SandboxTokens | Metrics

/** A method with its operation, not yet bound to a listener. */
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

/** What is to be counted and logged of a call that has ended. */
const report = (method: string, exit: Exit.Exit<unknown, Failure>) =>
  Effect.flatMap(Metrics, (metrics) => {
    const error = outcome(exit)
    metrics.grpcRequests.inc({ method, code: statusName(error?.code ?? Status.OK) })
    if (error === undefined || Exit.isSuccess(exit)) return Effect.void
    // A GrpcError of ours is what a peer's bytes deserve: it must not fill the log with traces.
    const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
    return error.code === Status.INTERNAL && !(failure instanceof GrpcError)
      ? Effect.logError("Call failed", exit.cause)
      : Effect.logInfo("Call refused", { code: statusName(error.code), reason: error.message })
  })

const run = async <A, R>(
  runtime: Runtime.Runtime<R | Common>,
  identify: Identify,
  access: Access,
  call: ServerCall,
  handle: (context: Context) => Effect.Effect<A, Failure, R>,
): Promise<A> => {
  const method = call.path.slice(1)
  const guarded = identify(call).pipe(
    Effect.flatMap((principal) =>
      Effect.zipRight(authorize(principal, access), handle({ call, principal, access })),
    ),
    Effect.onExit((exit) => report(method, exit)),
    Effect.annotateLogs({ request: call.requestId, method }),
  )
  const exit = await Runtime.runPromiseExit(runtime)(guarded, { signal: call.signal })
  if (Exit.isSuccess(exit)) return exit.value
  throw outcome(exit)
}

/** Serves an operation as that method of a wire. */
export const bind = <I, O, R>(
  method: ServedMethod<I, O>,
  operation: UnaryOperation<I, O, R> | StreamingOperation<I, O, R>,
): Endpoint<R> => ({
  path: method.path,
  bind: (runtime, identify) =>
    operation.kind === "unary"
      ? {
          kind: "unary",
          handle: async (call, bytes) =>
            method.encodeResponse(
              await run(runtime, identify, operation.access, call, (context) =>
                Effect.flatMap(
                  answerable(Effect.try({ try: () => method.decodeRequest(bytes), catch: (cause) => cause })),
                  (request) => operation.handle(request, context),
                ),
              ),
            ),
        }
      : {
          kind: "streaming",
          longCall: method.longCall,
          handle: async (call, incoming) => {
            const exchange: Exchange<I, O> = {
              call,
              incoming,
              receive: async () => {
                const bytes = await incoming.read()
                return bytes === undefined ? undefined : method.decodeRequest(bytes)
              },
              send: (message) => {
                call.sendHeaders()
                return writeMessage(call.stream, method.encodeResponse(message), call.signal)
              },
              encode: method.encodeResponse,
              isExecStream: method.isExecStream === true,
            }
            const outcome = await run(runtime, identify, operation.access, call, (context) =>
              operation.handle(exchange, context),
            )
            if (outcome instanceof Lasting) await outcome.until
          },
        },
})

/** Handlers by path. Throws when two wires claim the same method. */
export const routerOf = <R>(
  endpoints: ReadonlyArray<Endpoint<R>>,
  runtime: Runtime.Runtime<R | Common>,
  identify: Identify,
): ((path: string) => MethodHandler | undefined) => {
  const handlers = new Map<string, MethodHandler>()
  for (const endpoint of endpoints) {
    if (handlers.has(endpoint.path)) throw new Error(`${endpoint.path} is bound twice`)
    handlers.set(endpoint.path, endpoint.bind(runtime, identify))
  }
  return (path) => handlers.get(path)
}
