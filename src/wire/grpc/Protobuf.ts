/** Methods whose messages are protobuf. */
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import type { CalledMethod, ServedMethod } from "../Method.ts"
import { decodeMessage, encodeMessage, methodPath, type TypedMethod } from "./Typed.ts"

export const served = <I extends DescMessage, O extends DescMessage, Request, Response>(
  method: TypedMethod<I, O>,
  fromWire: (message: MessageShape<I>) => Request,
  toWire: (response: Response) => MessageInitShape<O>,
): ServedMethod<Request, Response> => ({
  path: methodPath(method),
  decodeRequest: (bytes) => fromWire(decodeMessage(method.input, bytes)),
  encodeResponse: (response) => encodeMessage(method.output, toWire(response)),
})

export const called = <I extends DescMessage, O extends DescMessage, Request, Response>(
  method: TypedMethod<I, O>,
  toWire: (request: Request) => MessageInitShape<I>,
  fromWire: (message: MessageShape<O>) => Response,
): CalledMethod<Request, Response> => ({
  path: methodPath(method),
  encodeRequest: (request) => encodeMessage(method.input, toWire(request)),
  decodeResponse: (bytes) => fromWire(decodeMessage(method.output, bytes)),
})

/** For messages that are values of the domain as they stand. */
export const same = <A>(value: A): A => value

/** For messages in which nothing is said. */
export const nothing = (): void => undefined

/** Says nothing. */
export const empty = () => ({})
