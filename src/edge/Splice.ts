/** Joins two legs: frames of one become frames of the other, uncut, with the backpressure of HTTP/2. */
import { limits } from "../domain/Limits.ts"
import { FrameGuard } from "../wire/grpc/Framing.ts"
import type { RelayLeg, RelayStream } from "../wire/RelayLeg.ts"
import { droppedText } from "./PeerLeg.ts"

/** node:http2 also emits `end` while it destroys a reset stream; only an end before that is the peer's. */
const endedCleanly = (stream: RelayStream): boolean =>
  stream.readableEnded && !stream.aborted && stream.rstCode === 0

interface Direction {
  done: boolean
}

const pump = (from: RelayLeg, to: RelayLeg, guarded: boolean, count: (bytes: number) => void) => {
  const direction: Direction = { done: false }
  const guard = guarded ? new FrameGuard(limits.inboundMessageBytes) : undefined
  const source = from.stream
  const sink = to.stream

  const forward = (chunk: Buffer) => {
    const refusal = guard?.check(chunk)
    if (refusal !== undefined) {
      from.abort(refusal.message, refusal.code)
      to.abort(droppedText)
      return
    }
    count(chunk.length)
    if (sink.writable && !sink.write(chunk) && sink.writableLength > limits.relayBufferBytes) source.pause()
  }
  const end = () => {
    if (
      direction.done ||
      from.aborted?.() === true ||
      !(from.ended || (endedCleanly(source) && !source.destroyed))
    )
      return
    direction.done = true
    to.endWrite()
  }
  sink.on("drain", () => source.resume())
  source.on("end", end)
  if (from.initial.length > 0) forward(from.initial)
  if (from.ended) end()
  else {
    source.on("data", forward)
    source.resume()
  }
  return direction
}

export interface SpliceOptions {
  /** Check the frames that come from the first or the second leg: those of peers were checked where they entered. */
  readonly guardA: boolean
  readonly guardB: boolean
  readonly onBytes?: (direction: "a" | "b", bytes: number) => void
}

/** Resolves when both legs are closed. A leg that closes before both directions have ended ends the other. */
export const splice = (a: RelayLeg, b: RelayLeg, options: SpliceOptions): Promise<void> =>
  new Promise((resolve) => {
    const onBytes = options.onBytes ?? (() => {})
    const ab = pump(a, b, options.guardA, (bytes) => onBytes("a", bytes))
    const ba = pump(b, a, options.guardB, (bytes) => onBytes("b", bytes))
    let open = 2
    const watch = (leg: RelayLeg, other: RelayLeg) => {
      const closed = () => {
        if (!ab.done || !ba.done) other.abort(droppedText)
        open -= 1
        if (open === 0) resolve()
      }
      leg.stream.on("error", () => {})
      if (leg.stream.destroyed) closed()
      else leg.stream.once("close", closed)
    }
    watch(a, b)
    watch(b, a)
  })
