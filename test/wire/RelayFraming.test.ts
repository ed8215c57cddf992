import { create, toBinary } from "@bufbuild/protobuf"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { encodeFrame } from "../../src/wire/grpc/Framing.ts"
import { RelayFrameSchema, TcpForwardFrameSchema } from "../../src/wire/openshell-v1/Generated.ts"
import { DataFrameDecoder, encodeDataHeader } from "../../src/wire/RelayFraming.ts"

const maxMessageBytes = 1_048_576

const encode = (payload: Buffer): Buffer => Buffer.concat([encodeDataHeader(payload.length), payload])

const cutAt = (bytes: Buffer, cuts: ReadonlyArray<number>): Buffer[] => {
  const points = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  )
  return points.slice(1).map((end, index) => bytes.subarray(points[index] ?? 0, end))
}

const decode = (chunks: ReadonlyArray<Buffer>) => {
  const decoder = new DataFrameDecoder({ maxMessageBytes })
  const payload = Buffer.concat(chunks.flatMap((chunk) => decoder.push(chunk)))
  return { payload, failure: decoder.end() }
}

const message = (...parts: ReadonlyArray<ReadonlyArray<number> | Buffer>): Buffer =>
  encodeFrame(Buffer.concat(parts.map((part) => Buffer.from(part))))

describe("relay framing", () => {
  it("writes the bytes that protobuf would write, for both messages that carry data", () => {
    for (const size of [0, 1, 127, 128, 16_383, 16_384, 70_000]) {
      const data = Buffer.alloc(size, 7)
      const relay = toBinary(
        RelayFrameSchema,
        create(RelayFrameSchema, { payload: { case: "data", value: data } }),
      )
      const forward = toBinary(
        TcpForwardFrameSchema,
        create(TcpForwardFrameSchema, { payload: { case: "data", value: data } }),
      )
      expect(encode(data).equals(encodeFrame(relay))).toBe(true)
      expect(encode(data).equals(encodeFrame(forward))).toBe(true)
    }
  })

  it("returns every payload byte in order, wherever the flow is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
        fc.array(fc.nat(4_000), { maxLength: 40 }),
        (payloads, cuts) => {
          const buffers = payloads.map((payload) => Buffer.from(payload))
          const { payload, failure } = decode(cutAt(Buffer.concat(buffers.map(encode)), cuts))
          expect(failure).toBeUndefined()
          expect(payload.equals(Buffer.concat(buffers))).toBe(true)
        },
      ),
    )
  })

  it("survives a cut at every single byte", () => {
    const flow = Buffer.concat([
      encode(Buffer.from("first")),
      encode(Buffer.alloc(0)),
      encode(Buffer.alloc(200, 9)),
    ])
    const expected = Buffer.concat([Buffer.from("first"), Buffer.alloc(200, 9)])
    for (let at = 0; at <= flow.length; at += 1) {
      const { payload, failure } = decode([flow.subarray(0, at), flow.subarray(at)])
      expect(failure).toBeUndefined()
      expect(payload.equals(expected)).toBe(true)
    }
    expect(decode([...flow].map((byte) => Buffer.from([byte]))).payload.equals(expected)).toBe(true)
  })

  it("skips unknown fields of every wire type", () => {
    const flow = message(
      [0x1a, 3, 1, 2, 3],
      [0x20, 0xff, 0x01],
      [0x12, 2, 65, 66],
      [0x29, 1, 2, 3, 4, 5, 6, 7, 8],
      [0x35, 1, 2, 3, 4],
      [0xfa, 0x01, 1, 9],
    )
    for (let at = 0; at <= flow.length; at += 1) {
      expect(decode([flow.subarray(0, at), flow.subarray(at)])).toEqual({
        payload: Buffer.from("AB"),
        failure: undefined,
      })
    }
  })

  it("ignores empty messages and empty data", () => {
    const { payload, failure } = decode([message([]), message([0x12, 0]), encode(Buffer.from("x"))])
    expect([payload.toString(), failure]).toEqual(["x", undefined])
  })

  it.each([
    ["a second init", message([0x0a, 2, 0x0a, 0]), "second-init"],
    ["a compressed message", Buffer.from([1, 0, 0, 0, 0]), "compressed"],
    ["a message above the limit", Buffer.from([0, 0, 0x10, 0, 1]), "too-large"],
    ["a field longer than its message", message([0x12, 5, 1]), "malformed"],
    ["two data fields in one message", message([0x12, 1, 1], [0x12, 1, 2]), "malformed"],
    ["a group", message([0x1b]), "malformed"],
    ["field number zero", message([0x02, 0]), "malformed"],
    ["a varint without an end", message(Buffer.alloc(12, 0xff)), "malformed"],
    ["a tag without its length", message([0x12]), "malformed"],
    ["an end inside a message", encode(Buffer.from("cut")).subarray(0, 8), "truncated"],
    ["an end inside a prefix", Buffer.from([0, 0]), "truncated"],
  ])("refuses %s, and delivers what came before", (_name, bad, reason) => {
    const decoder = new DataFrameDecoder({ maxMessageBytes })
    const slices = decoder.push(Buffer.concat([encode(Buffer.from("good")), bad]))
    expect(slices[0]?.toString()).toBe("good")
    expect(decoder.end()?.reason).toBe(reason)
    expect(decoder.push(encode(Buffer.from("later")))).toEqual(
      reason === "truncated" ? expect.anything() : [],
    )
  })

  it("never throws and never delivers more than it was given, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }), (chunks) => {
        const decoder = new DataFrameDecoder({ maxMessageBytes: 1_000 })
        const given = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
        const taken = chunks.flatMap((chunk) => decoder.push(Buffer.from(chunk)))
        expect(taken.reduce((sum, slice) => sum + slice.length, 0)).toBeLessThanOrEqual(given)
      }),
    )
  })
})
