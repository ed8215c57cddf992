/** Protobuf messages on top of the byte-level server and client. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf"
import { Status } from "../../domain/Status.ts"
import type { ClientCall } from "./ClientCall.ts"
import type { CallOptions, GrpcConnection } from "./GrpcClient.ts"
import { grpcError } from "./GrpcError.ts"
import type { MethodHandler, ServerCall } from "./GrpcServer.ts"
import type { MessageReader } from "./MessageReader.ts"
import { writeMessage } from "./MessageWriter.ts"

/** A method with its message types, whatever its streaming kind. */
export type TypedMethod<I extends DescMessage, O extends DescMessage> = DescMethod & {
  readonly input: I
  readonly output: O
}

/** `/package.Service/Method` */
export const methodPath = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`

export const encodeMessage = <T extends DescMessage>(schema: T, init: MessageInitShape<T>): Uint8Array =>
  toBinary(schema, create(schema, init))

/** Throws GrpcError INTERNAL for bytes that are not such a message, as tonic answers. */
export const decodeMessage = <T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> => {
  try {
    return fromBinary(schema, bytes)
  } catch {
    throw grpcError(Status.INTERNAL, `malformed message: not a ${schema.typeName}`)
  }
}

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
