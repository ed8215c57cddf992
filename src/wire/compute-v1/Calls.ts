/** Calls to a compute driver over its Unix socket. */
import { limits } from "../../domain/Limits.ts"
import { GrpcConnection } from "../grpc/GrpcClient.ts"
import { writeFrame } from "../grpc/MessageWriter.ts"
import type { CalledMethod } from "../Method.ts"

export { call } from "../grpc/Calls.ts"

/** Resolves when the driver has spoken HTTP/2; rejects with GrpcError. */
export const connect = (socketPath: string, signal?: AbortSignal): Promise<GrpcConnection> =>
  GrpcConnection.connect({
    url: "http://localhost",
    socketPath,
    connectTimeoutMs: limits.computeConnectMs,
    keepalive: { intervalMs: limits.computeKeepaliveMs, timeoutMs: limits.clientKeepaliveTimeoutMs },
    maxMessageBytes: limits.computeMessageBytes,
    ...(signal === undefined ? {} : { signal }),
  })

export interface OpenWatch<O> {
  /** The next message; `end` after the last one of a call that ended OK, otherwise rejects with its status. */
  readonly receive: () => Promise<{ readonly message: O } | "end">
  readonly cancel: () => void
}

/** One request, many answers, for as long as both ends like. */
export const watch = <I, O>(
  connection: GrpcConnection,
  method: CalledMethod<I, O>,
  request: I,
): OpenWatch<O> => {
  const opened = connection.open(method.path)
  writeFrame(opened.stream, method.encodeRequest(request))
  opened.end()
  return {
    receive: async () => {
      const bytes = await opened.reader.read()
      if (bytes !== undefined) return { message: method.decodeResponse(bytes) }
      const error = await opened.status
      if (error !== undefined) throw error
      return "end"
    },
    cancel: () => opened.cancel(),
  }
}
