/** Streams of a simulation: small buffers, so that a few kilobytes meet every limit. */
import type { StreamSettings } from "../../../src/stream/core/State.ts"

export const smallSettings: Partial<StreamSettings> = {
  replayBytes: 2_048,
  receiveBytes: 2_048,
  chunkBytes: 512,
  earlyBytes: 256,
  ackBytes: 512,
}
