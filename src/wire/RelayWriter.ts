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

/** As `writePayload` for chunks that leave together: small ones share a message, so a header costs them nothing. */
export const writePayloads = (stream: Writable, chunks: ReadonlyArray<Buffer>): boolean => {
  let writable = true
  let bytes = 0
  let group: Buffer[] = []
  const flush = (): void => {
    if (bytes > 0) stream.write(encodeDataHeader(bytes))
    for (const chunk of group) writable = stream.write(chunk)
    group = []
    bytes = 0
  }
  stream.cork()
  for (const chunk of chunks) {
    if (bytes + chunk.length > limits.relayPayloadBytes) flush()
    if (chunk.length > limits.relayPayloadBytes) writable = writePayload(stream, chunk)
    else if (chunk.length > 0) {
      group.push(chunk)
      bytes += chunk.length
    }
  }
  flush()
  stream.uncork()
  return writable
}
