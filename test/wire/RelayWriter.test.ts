import { PassThrough } from "node:stream"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { FrameDecoder } from "../../src/wire/grpc/Framing.ts"
import { DataFrameDecoder } from "../../src/wire/RelayFraming.ts"
import { writePayloads } from "../../src/wire/RelayWriter.ts"

const written = (chunks: ReadonlyArray<Buffer>): Buffer => {
  const stream = new PassThrough({ highWaterMark: 64 * 1_048_576 })
  writePayloads(stream, chunks)
  return stream.read() ?? Buffer.alloc(0)
}

const payload = (bytes: Buffer): Buffer =>
  Buffer.concat(new DataFrameDecoder({ maxMessageBytes: limits.inboundMessageBytes }).push(bytes))

const messages = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const decoder = new FrameDecoder(limits.inboundMessageBytes)
  decoder.push(bytes)
  const all: Buffer[] = []
  for (let next = decoder.next(); next !== undefined; next = decoder.next()) all.push(next)
  return all
}

describe("chunks that leave together", () => {
  it("arrive as they were, whatever their sizes", () => {
    const size = fc.oneof(fc.nat(100), fc.nat(2 * limits.relayPayloadBytes))
    fc.assert(
      fc.property(fc.array(size, { maxLength: 8 }), (sizes) => {
        const chunks = sizes.map((bytes, index) => Buffer.alloc(bytes, index + 1))
        expect(payload(written(chunks)).equals(Buffer.concat(chunks))).toBe(true)
      }),
      { numRuns: 50 },
    )
  })

  it("share one message up to the size of one", () => {
    const half = Buffer.alloc(limits.relayPayloadBytes / 2)
    expect(messages(written([Buffer.alloc(12), Buffer.alloc(65_536)]))).toHaveLength(1)
    expect(messages(written([half, half, Buffer.alloc(1)]))).toHaveLength(2)
    expect(messages(written([Buffer.alloc(0)]))).toHaveLength(0)
  })
})
