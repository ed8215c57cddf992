/** Operations: what the gateway does for a caller, in values of the domain, whatever wire the request came by. */
import { Effect } from "effect"
import { isPublicError, type PublicError } from "../domain/Errors.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import type { ServerCall } from "../wire/grpc/GrpcServer.ts"
import type { MessageReader } from "../wire/grpc/MessageReader.ts"
import type { Access } from "./Access.ts"
import type { Principal } from "./Principal.ts"

export type Failure = PublicError | GrpcError

/** Who asks. */
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

/** The next message of a stream, with its failure as it will be answered. */
export const receive = <I, O>(exchange: Exchange<I, O>): Effect.Effect<I | undefined, Failure> =>
  answerable(Effect.tryPromise({ try: exchange.receive, catch: (cause) => cause }))

export const send = <I, O>(exchange: Exchange<I, O>, message: O): Effect.Effect<void, Failure> =>
  answerable(Effect.tryPromise({ try: () => exchange.send(message), catch: (cause) => cause }))

/** What is meant for the caller fails; anything else is a fault of ours, which the log gets whole. */
export const answerable = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, Failure> =>
  Effect.catchAll(effect, (cause) =>
    cause instanceof GrpcError || isPublicError(cause) ? Effect.fail(cause) : Effect.die(cause),
  )
