import type { Writable } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { encodeDataHeader } from "./RelayFraming.ts"

/**
 * Writes `chunk` as relay data; header and payload leave in one vectored write, chunks above the limit as
 * several messages. Returns false when the stream wants to be drained first, as `Writable.write` does.
 */
export const writePayload = (stream: Writable, chunk: Buffer): boolean => {
  let writable = true
  stream.cork()
  for (let at = 0; at < chunk.length; at += limits.relayPayloadBytes) {
    const part =
      chunk.length <= limits.relayPayloadBytes ? chunk : chunk.subarray(at, at + limits.relayPayloadBytes)
    stream.write(encodeDataHeader(part.length))
    writable = stream.write(part)
  }
  stream.uncork()
  return writable
}
