/** Operations: what the gateway does for a caller, in values of the domain, whatever wire the request came by. */
import { Effect } from "effect"
import { isPublicError } from "../domain/Errors.ts"
import { Status } from "../domain/Status.ts"
import { GrpcError, grpcError } from "../wire/grpc/GrpcError.ts"
import type { ServerCall } from "../wire/grpc/GrpcServer.ts"
import type { MessageReader } from "../wire/grpc/MessageReader.ts"
import { writeMessage } from "../wire/grpc/MessageWriter.ts"
import type { ServedMethod } from "../wire/Method.ts"
import type { Access } from "./Access.ts"
import { type Context, type Endpoint, type Failure, Lasting, run } from "./Endpoint.ts"

/** What a request asks for and who may ask, whatever wire it comes by. */
export interface UnaryOperation<I, O, R> {
  readonly kind: "unary"
  readonly access: Access
  readonly handle: (request: I, context: Context) => Effect.Effect<O, Failure, R>
}

export interface StreamingOperation<I, O, R> {
  readonly kind: "streaming"
  readonly access: Access
  readonly handle: (exchange: Exchange<I, O>, context: Context) => Effect.Effect<unknown, Failure, R>
}

/** The server's side of a streaming call. */
export interface Exchange<I, O> {
  readonly call: ServerCall
  readonly incoming: MessageReader
  /** The next message, or undefined after the client's half-close. Rejects with GrpcError or a public error. */
  readonly receive: () => Promise<I | undefined>
  readonly send: (message: O) => Promise<void>
  /** The bytes of a message, for whoever writes to `call.stream` itself. */
  readonly encode: (message: O) => Uint8Array
  /** As the method says: its further messages may pass unread. */
  readonly isExecStream: boolean
}

export const unary = <I, O, R>(
  access: Access,
  handle: UnaryOperation<I, O, R>["handle"],
): UnaryOperation<I, O, R> => ({ kind: "unary", access, handle })

export const streaming = <I, O, R>(
  access: Access,
  handle: StreamingOperation<I, O, R>["handle"],
): StreamingOperation<I, O, R> => ({ kind: "streaming", access, handle })

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
                  Effect.try({ try: () => method.decodeRequest(bytes), catch: asFailure }),
                  (request) => operation.handle(request, context),
                ),
              ),
            ),
        }
      : {
          kind: "streaming",
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

/** The next message of a stream, with its failure as it will be answered. */
export const receive = <I, O>(exchange: Exchange<I, O>): Effect.Effect<I | undefined, Failure> =>
  Effect.tryPromise({ try: exchange.receive, catch: asFailure })

export const send = <I, O>(exchange: Exchange<I, O>, message: O): Effect.Effect<void, Failure> =>
  Effect.tryPromise({ try: () => exchange.send(message), catch: asFailure })

const asFailure = (cause: unknown): Failure =>
  cause instanceof GrpcError || isPublicError(cause) ? cause : grpcError(Status.INTERNAL, "internal error")
