/** A stream between two replicas as one end of a relay: it carries the frames of the supervisor's stream uncut. */
import { constants } from "node:http2"
import { limits } from "../domain/Limits.ts"
import type { RelayLeg, RelayStream } from "../wire/RelayLeg.ts"

/** Text that OpenShell's tools match on (wire contract 1.3). */
export const droppedText = "relay channel dropped"

export const peerLeg = (stream: RelayStream): RelayLeg => ({
  stream,
  initial: Buffer.alloc(0),
  ended: false,
  maxMessageBytes: limits.inboundMessageBytes,
  endWrite: () => {
    if (!stream.closed) stream.end()
  },
  // destroy, not close: node ends the direction in order before it resets a closed stream, and a cut would pass
  // for an end.
  abort: (reason) => {
    if (!stream.destroyed) stream.destroy(new Error(reason))
  },
  outcome: async () => (stream.rstCode === constants.NGHTTP2_NO_ERROR ? undefined : droppedText),
})
