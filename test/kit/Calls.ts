/** Calls and handlers of single methods with their protobuf messages, for tests that speak the wire themselves. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import type { ClientCall } from "../../src/wire/grpc/ClientCall.ts"
import type { CallOptions, GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import type { MethodHandler, ServerCall } from "../../src/wire/grpc/GrpcServer.ts"
import type { MessageReader } from "../../src/wire/grpc/MessageReader.ts"
import { writeMessage } from "../../src/wire/grpc/MessageWriter.ts"
import { decodeMessage, encodeMessage, methodPath, type TypedMethod } from "../../src/wire/grpc/Typed.ts"

/** One unary call with messages. Rejects with GrpcError. */
export const callUnary = async <I extends DescMessage, O extends DescMessage>(
  connection: GrpcConnection,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  options?: CallOptions,
): Promise<MessageShape<O>> =>
  decodeMessage(
    method.output,
    await connection.unary(methodPath(method), encodeMessage(method.input, request), options),
  )

/** A streaming call with messages; `call` is the byte-level call beneath it. */
export interface TypedCall<I extends DescMessage, O extends DescMessage> {
  readonly call: ClientCall
  readonly send: (message: MessageInitShape<I>) => Promise<void>
  readonly end: () => void
  /** The next message; undefined after the last one of a call that ended OK, otherwise rejects with its status. */
  readonly receive: () => Promise<MessageShape<O> | undefined>
  readonly cancel: () => void
}

export const openTyped = <I extends DescMessage, O extends DescMessage>(
  connection: GrpcConnection,
  method: TypedMethod<I, O>,
  options?: CallOptions,
): TypedCall<I, O> => {
  const call = connection.open(methodPath(method), options)
  return {
    call,
    send: (message) => call.write(encodeMessage(method.input, message)),
    end: () => call.end(),
    receive: async () => {
      const bytes = await call.reader.read()
      if (bytes !== undefined) return decodeMessage(method.output, bytes)
      const error = await call.status
      if (error !== undefined) throw error
      return undefined
    },
    cancel: () => call.cancel(),
  }
}

export const unaryHandler = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handle: (request: MessageShape<I>, call: ServerCall) => Promise<MessageInitShape<O>>,
): MethodHandler => ({
  kind: "unary",
  handle: async (call, bytes) =>
    encodeMessage(method.output, await handle(decodeMessage(method.input, bytes), call)),
})

/** The server's side of a streaming call with messages. */
export interface TypedServerCall<I extends DescMessage, O extends DescMessage> {
  readonly call: ServerCall
  readonly incoming: MessageReader
  /** The next message, or undefined after the client's half-close. */
  readonly receive: () => Promise<MessageShape<I> | undefined>
  readonly send: (message: MessageInitShape<O>) => Promise<void>
}

export const streamingHandler = <I extends DescMessage, O extends DescMessage>(
  method: TypedMethod<I, O>,
  handle: (typed: TypedServerCall<I, O>) => Promise<void>,
): MethodHandler => ({
  kind: "streaming",
  handle: (call, incoming) =>
    handle({
      call,
      incoming,
      receive: async () => {
        const bytes = await incoming.read()
        return bytes === undefined ? undefined : decodeMessage(method.input, bytes)
      },
      send: (message) => {
        call.sendHeaders()
        return writeMessage(call.stream, encodeMessage(method.output, message), call.signal)
      },
    }),
})
