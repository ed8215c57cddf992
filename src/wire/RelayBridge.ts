import type { Socket } from "node:net"
import { DataFrameDecoder } from "./RelayFraming.ts"
import type { RelayLeg } from "./RelayLeg.ts"
import { writePayload } from "./RelayWriter.ts"

/** What a relay moved, and why it ended if not by both sides finishing. */
export interface BridgeOutcome {
  readonly reason: string | undefined
  /** Payload bytes towards the socket and towards the stream. */
  readonly toSocketBytes: number
  readonly toStreamBytes: number
}

export interface Bridge {
  /** Settles when both ends are closed; never rejects. */
  readonly closed: Promise<BridgeOutcome>
  readonly abort: (reason: string) => void
}

/**
 * Joins a relay leg with a socket: payload slices go to the socket uncopied, socket chunks get one header.
 * Half-close passes through both ways; a reset or an error of one end destroys the other. The socket must have
 * `allowHalfOpen`.
 */
export const joinSocket = (leg: RelayLeg, socket: Socket): Bridge => {
  const { stream } = leg
  const decoder = new DataFrameDecoder({ maxMessageBytes: leg.maxMessageBytes })
  const closed = Promise.withResolvers<BridgeOutcome>()
  let reason: string | undefined
  let toSocketBytes = 0
  let toStreamBytes = 0
  /** The peer's direction ended in order; `peerEnded` once the call's status agrees. */
  let ending = false
  let peerEnded = false
  let openEnds = 2

  const abort = (why: string): void => {
    if (reason !== undefined || openEnds === 0) return
    reason = why
    leg.abort(why)
    // A plain close would look like an ordinary end of the stream to the target.
    if (socket.remoteFamily === undefined) socket.destroy()
    else socket.resetAndDestroy()
  }
  const endClosed = (): void => {
    openEnds -= 1
    if (openEnds === 0) closed.resolve({ reason, toSocketBytes, toStreamBytes })
  }

  const receive = (chunk: Buffer): void => {
    let writable = true
    for (const slice of decoder.push(chunk)) {
      toSocketBytes += slice.length
      writable = socket.write(slice)
    }
    if (decoder.failure !== undefined) abort(decoder.failure.message)
    else if (!writable) stream.pause()
  }
  const receiveEnd = async (): Promise<void> => {
    // node:http2 also emits `end` while it destroys a reset stream; only an end before that is the peer's.
    if (!leg.ended && stream.destroyed) return
    ending = true
    const failure = decoder.end()?.message ?? (await leg.outcome())
    if (failure !== undefined) return abort(failure)
    peerEnded = true
    if (stream.destroyed) socket.destroySoon()
    else socket.end()
  }
  const streamClosed = (): void => {
    if (peerEnded) socket.destroySoon()
    else if (!ending) abort("relay stream was closed")
    endClosed()
  }

  stream.on("data", receive)
  stream.once("end", () => void receiveEnd())
  stream.on("drain", () => socket.resume())
  stream.once("error", (error) => abort(`relay stream failed: ${error.message}`))
  stream.once("close", streamClosed)

  socket.on("data", (chunk: Buffer) => {
    toStreamBytes += chunk.length
    if (!writePayload(stream, chunk)) socket.pause()
  })
  socket.on("drain", () => stream.resume())
  socket.once("end", () => {
    if (!stream.destroyed) leg.endWrite()
  })
  socket.on("error", (error) => abort(`target failed: ${error.message}`))
  socket.once("close", () => {
    if (!(peerEnded && (socket.readableEnded || stream.destroyed))) abort("target was closed")
    endClosed()
  })

  // A failure is told even while a slow socket keeps the stream's end unread.
  void leg.early?.then((failure) => failure !== undefined && abort(failure))
  if (leg.initial.length > 0) receive(leg.initial)
  if (leg.ended) void receiveEnd()
  if (stream.destroyed) streamClosed()
  else stream.resume()
  // A target that was lost before it could be joined does not say so again.
  if (socket.closed) {
    abort("target was closed")
    endClosed()
  }
  return { closed: closed.promise, abort }
}
