import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import { encodeFrame, FrameDecoder, FrameGuard } from "../../../src/wire/grpc/Framing.ts"
import { decodeGrpcMessage, encodeGrpcMessage, type GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { formatTimeout, parseTimeoutMs } from "../../../src/wire/grpc/Metadata.ts"

const limit = 1_000
const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 })

/** The bytes cut at the given fractions of their length. */
const cut = (bytes: Buffer, at: ReadonlyArray<number>): Array<Buffer> => {
  const points = [0, ...at.map((part) => Math.floor(part * bytes.length)).sort((a, b) => a - b), bytes.length]
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end))
}
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })

const decodeAll = (decoder: FrameDecoder): Array<Buffer> => {
  const decoded: Array<Buffer> = []
  for (let message = decoder.next(); message !== undefined; message = decoder.next()) decoded.push(message)
  return decoded
}

const flow = (list: ReadonlyArray<Uint8Array>): Buffer => Buffer.concat(list.map((m) => encodeFrame(m)))
const hex = (list: ReadonlyArray<Uint8Array>): Array<string> =>
  list.map((m) => Buffer.from(m).toString("hex"))

const header = (flag: number, length: number): Buffer => {
  const bytes = Buffer.alloc(5)
  bytes[0] = flag
  bytes.writeUInt32BE(length, 1)
  return bytes
}

describe("FrameDecoder", () => {
  it("yields the same messages however the flow is cut", () => {
    fc.assert(
      fc.property(messages, cuts, (list, at) => {
        const decoder = new FrameDecoder(limit)
        const decoded: Array<Buffer> = []
        for (const chunk of cut(flow(list), at)) {
          decoder.push(chunk)
          decoded.push(...decodeAll(decoder))
        }
        expect(hex(decoded)).toEqual(hex(list))
        expect(decoder.bufferedBytes).toBe(0)
      }),
    )
  })

  it("yields the same messages when the flow is split at every single byte", () => {
    const list = [Buffer.from("first"), Buffer.alloc(0), Buffer.from("x"), Buffer.alloc(300, 7)]
    const bytes = flow(list)
    for (let at = 0; at <= bytes.length; at++) {
      const decoder = new FrameDecoder(limit)
      decoder.push(bytes.subarray(0, at))
      const before = decodeAll(decoder)
      decoder.push(bytes.subarray(at))
      expect(hex([...before, ...decodeAll(decoder)])).toEqual(hex(list))
    }
  })

  it("gives back every byte that it has not handed out, in order", () => {
    fc.assert(
      fc.property(messages, cuts, fc.nat(8), (list, at, taken) => {
        const bytes = flow(list)
        const decoder = new FrameDecoder(limit)
        for (const chunk of cut(bytes, at)) decoder.push(chunk)
        const handedOut: Array<Buffer> = []
        for (let n = 0; n < taken; n++) {
          const message = decoder.next()
          if (message !== undefined) handedOut.push(message)
        }
        expect(decoder.ready).toBe(handedOut.length < list.length)
        expect(Buffer.concat([flow(handedOut), decoder.leftover()]).equals(bytes)).toBe(true)
        expect(decoder.bufferedBytes).toBe(0)
      }),
    )
  })

  it("refuses a message above the limit as soon as its header is there, naming both sizes", () => {
    const decoder = new FrameDecoder(limit)
    decoder.push(flow([Buffer.from("ok")]))
    decoder.push(header(0, limit + 1))
    expect(decoder.next()?.toString()).toBe("ok")
    for (let again = 0; again < 2; again++) {
      expect(() => decoder.next()).toThrow(
        expect.objectContaining({
          code: Status.RESOURCE_EXHAUSTED,
          message: "message of 1001 bytes exceeds the limit of 1000 bytes",
        }),
      )
    }
  })

  it("refuses compressed messages and unknown flags", () => {
    const codeOf = (flag: number): number | undefined => {
      const decoder = new FrameDecoder(limit)
      decoder.push(header(flag, 0))
      try {
        decoder.next()
        return undefined
      } catch (error) {
        return (error as GrpcError).code
      }
    }
    expect([codeOf(0), codeOf(1), codeOf(2)]).toEqual([undefined, Status.UNIMPLEMENTED, Status.INTERNAL])
  })
})

describe("FrameGuard", () => {
  it("lets every acceptable flow pass, however it is cut", () => {
    fc.assert(
      fc.property(messages, cuts, (list, at) => {
        const tagged = list.map((m) => (m.length === 0 ? m : Buffer.concat([Buffer.from([0x12]), m])))
        const guard = new FrameGuard(limit, { tag: 0x12 })
        for (const chunk of cut(flow(tagged), at)) expect(guard.check(chunk)).toBeUndefined()
        expect(guard.atBoundary).toBe(true)
      }),
    )
  })

  it("finds an oversize, compressed or foreign message wherever the flow is split", () => {
    const good = encodeFrame(Buffer.from([0x12, 1, 65]))
    const bad: ReadonlyArray<readonly [Buffer, number]> = [
      [header(0, limit + 1), Status.RESOURCE_EXHAUSTED],
      [header(1, 3), Status.UNIMPLEMENTED],
      [encodeFrame(Buffer.from([0x0a, 0])), Status.INVALID_ARGUMENT],
    ]
    for (const [frame, code] of bad) {
      const bytes = Buffer.concat([good, frame])
      for (let at = 0; at <= bytes.length; at++) {
        const guard = new FrameGuard(limit, { tag: 0x12 })
        const first = guard.check(bytes.subarray(0, at))
        expect((first ?? guard.check(bytes.subarray(at)))?.code, `split at ${at}`).toBe(code)
      }
    }
  })

  it("knows when a flow ends within a message", () => {
    const guard = new FrameGuard(limit)
    guard.check(encodeFrame(Buffer.from("abc")).subarray(0, 7))
    expect(guard.atBoundary).toBe(false)
  })
})

describe("metadata", () => {
  it("carries any text in grpc-message as printable ASCII", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const encoded = encodeGrpcMessage(text)
        expect(encoded).toMatch(/^[\x20-\x7e]*$/)
        expect(decodeGrpcMessage(encoded)).toBe(text)
      }),
    )
  })

  it("leaves a grpc-message alone that is not percent-encoded", () => {
    expect(decodeGrpcMessage("100% sure, %zz and %4")).toBe("100% sure, %zz and %4")
  })

  it("reads every unit of grpc-timeout and no other form", () => {
    expect(["2H", "3M", "4S", "5m", "6000u", "7000000n"].map(parseTimeoutMs)).toEqual([
      7_200_000, 180_000, 4_000, 5, 6, 7,
    ])
    for (const bad of ["", "5", "m", "-5m", "123456789m", "5 m", "5x"]) {
      expect(parseTimeoutMs(bad), bad).toBeUndefined()
    }
  })

  it("writes a timeout that is read back no shorter than it was", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 9e10, noNaN: true }), (timeoutMs) => {
        const written = formatTimeout(timeoutMs)
        expect(written).toMatch(/^\d{1,8}[mS]$/)
        expect(parseTimeoutMs(written)).toBeGreaterThanOrEqual(timeoutMs)
      }),
    )
  })
})
