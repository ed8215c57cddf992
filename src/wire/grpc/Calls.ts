/** Calls of a wire's methods in values of the domain. */
import type { CalledMethod } from "../Method.ts"
import type { ClientCall } from "./ClientCall.ts"
import type { CallOptions, GrpcConnection } from "./GrpcClient.ts"

/** One request, one answer. Rejects with GrpcError, or with what the method's decoding throws. */
export const call = async <I, O>(
  connection: GrpcConnection,
  method: CalledMethod<I, O>,
  request: I,
  options?: CallOptions,
): Promise<O> =>
  method.decodeResponse(await connection.unary(method.path, method.encodeRequest(request), options))

/** A streaming call; `call` is the byte-level call beneath it. */
export interface OpenCall<I, O> {
  readonly call: ClientCall
  readonly send: (message: I) => Promise<void>
  readonly end: () => void
  /** The next message; undefined after the last one of a call that ended OK, otherwise rejects with its status. */
  readonly receive: () => Promise<O | undefined>
  readonly cancel: () => void
}

export const openCall = <I, O>(
  connection: GrpcConnection,
  method: CalledMethod<I, O>,
  options?: CallOptions,
): OpenCall<I, O> => {
  const opened = connection.open(method.path, options)
  return {
    call: opened,
    send: (message) => opened.write(method.encodeRequest(message)),
    end: () => opened.end(),
    receive: async () => {
      const bytes = await opened.reader.read()
      if (bytes !== undefined) return method.decodeResponse(bytes)
      const error = await opened.status
      if (error !== undefined) throw error
      return undefined
    },
    cancel: () => opened.cancel(),
  }
}
