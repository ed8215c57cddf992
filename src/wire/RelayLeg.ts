import { constants, type Http2Stream } from "node:http2"
import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { Status, type StatusCode } from "../domain/Status.ts"
import type { ClientCall } from "./grpc/GrpcClient.ts"
import { grpcError } from "./grpc/GrpcError.ts"
import type { ServerCall } from "./grpc/GrpcServer.ts"
import type { MessageReader } from "./grpc/MessageReader.ts"

/** What a relay needs of an HTTP/2 stream. */
export type RelayStream = Duplex & Pick<Http2Stream, "aborted" | "closed" | "rstCode" | "close">

/** What a relay needs of the server call whose stream it takes. */
export type RelayCall = Pick<ServerCall, "sendHeaders" | "endResponse" | "finish" | "failing"> & {
  readonly stream: RelayStream
}

/** A `RelayStream` or `ForwardTcp` call, of either side, after its opening frame: from here on only `data`. */
export interface RelayLeg {
  readonly stream: RelayStream
  /** Bytes that the reader of the opening frame took from the stream and did not use. */
  readonly initial: Buffer
  /** The peer's direction had ended, in order, before the leg was made. */
  readonly ended: boolean
  readonly maxMessageBytes: number
  /** Half-close: our direction ends, the peer's goes on. */
  readonly endWrite: () => void
  /** Ends both directions as a failure; `code` (UNAVAILABLE by default) is told where the call can still carry it. */
  readonly abort: (reason: string, code?: StatusCode) => void
  /** We ended it as a failure: what the stream says from then on is no end of the peer's. */
  readonly aborted?: () => boolean
  /** Asked after the peer's direction ended: why the call failed nevertheless, or undefined. */
  readonly outcome: () => Promise<string | undefined>
  /** Where failures are known before the end is read: settles with the reason, or undefined. */
  readonly early?: Promise<string | undefined>
}

/** The leg of a client call whose response headers have arrived. */
export const clientLeg = (call: ClientCall): RelayLeg => ({
  stream: call.stream,
  initial: call.reader.release(),
  ended: call.reader.ended,
  maxMessageBytes: limits.responseMessageBytes,
  endWrite: () => call.end(),
  abort: (reason) => call.cancel(grpcError(Status.CANCELLED, reason)),
  outcome: async () => (await call.status)?.message,
  early: call.status.then((error) => error?.message),
})

/** As `clientLeg`; `silent` is told when our end gives up a call that the other end has not ended. */
export const watchedLeg = (call: ClientCall, silent: () => void): RelayLeg => {
  let settled = false
  // Before those of the leg, so that what it does about the status comes after.
  void call.status.then(() => {
    settled = true
  })
  const leg = clientLeg(call)
  return {
    ...leg,
    abort: (reason, code) => {
      if (!settled && !call.stream.destroyed) silent()
      leg.abort(reason, code)
    },
  }
}

/** The leg of a server call; response headers go out here if they have not yet. */
export const serverLeg = (call: RelayCall, incoming: Pick<MessageReader, "release" | "ended">): RelayLeg => {
  call.sendHeaders()
  let failure: string | undefined
  return {
    stream: call.stream,
    initial: incoming.release(),
    ended: incoming.ended,
    maxMessageBytes: limits.inboundMessageBytes,
    endWrite: () => call.endResponse(),
    abort: (reason, code = Status.UNAVAILABLE) => {
      // node:http2 ends a stream in order before it closes it without an error, as is due after a status.
      failure ??= reason
      if (call.failing) return
      // After a half-close there is no status left to send; a reset still says that the stream failed.
      if (call.stream.writableEnded) call.stream.close(constants.NGHTTP2_CANCEL)
      else call.finish(grpcError(code, reason))
    },
    aborted: () => failure !== undefined,
    outcome: async () => failure,
  }
}
