/** A stream between two replicas as one end of a relay: it carries the frames of the supervisor's stream uncut. */
import { constants, type Http2Stream } from "node:http2"
import { limits } from "../domain/Limits.ts"
import type { RelayLeg } from "../wire/RelayLeg.ts"

/** Text that OpenShell's tools match on (wire contract 1.3). */
export const droppedText = "relay channel dropped"

export const peerLeg = (stream: Http2Stream): RelayLeg => ({
  stream,
  initial: Buffer.alloc(0),
  ended: false,
  maxMessageBytes: limits.inboundMessageBytes,
  endWrite: () => {
    if (!stream.closed) stream.end()
  },
  abort: () => {
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
  },
  outcome: async () => (stream.rstCode === constants.NGHTTP2_NO_ERROR ? undefined : droppedText),
})
