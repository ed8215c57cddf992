/** Protobuf messages on top of the byte-level server and client. */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf"
import { Status } from "../../domain/Status.ts"
import { grpcError } from "./GrpcError.ts"

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
