import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { FrameDecoder } from "../../src/stream/FrameDecoder.ts"
import {
  type ControlFrame,
  encodeControl,
  encodeDataHeader,
  type Frame,
  type HelloFrame,
  streamKinds,
} from "../../src/stream/Frames.ts"
import { newIdentity, signHello, verifyHello } from "../../src/stream/Proof.ts"

const offset = fc.oneof(
  fc.nat(),
  fc.maxSafeNat().map((value) => Math.min(value, 2 ** 53 - 2 ** 20)),
)
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((value) => Buffer.from(value))
const text = fc.string({ unit: "grapheme", maxLength: 60 })

const hello: fc.Arbitrary<HelloFrame> = fc.record({
  type: fc.constant("hello" as const),
  version: fc.integer({ min: 0, max: 255 }),
  mode: fc.constant("new" as const),
  id: bytes(16),
  attach: u32,
  next: offset,
  ack: offset,
  window: u32,
  auth: bytes(32),
  kind: fc.constantFrom(...streamKinds),
  target: text,
})

const control: fc.Arbitrary<ControlFrame> = fc.oneof(
  hello,
  hello.map((frame) => ({ ...frame, mode: "resume" as const, kind: "tcp" as const, target: "" })),
  fc.record({
    type: fc.constant("welcome" as const),
    version: fc.integer({ min: 0, max: 255 }),
    next: offset,
    ack: offset,
    from: offset,
    window: u32,
    resumeWindowMs: u32,
  }),
  fc.record({
    type: fc.constant("refuse" as const),
    code: fc.constantFrom("version", "unknown", "stale", "target", "finished", "reset", "lost"),
    reset: fc.constantFrom("cancelled", "protocol", "target", "internal", "revoked"),
    text,
  }),
  fc.record({ type: fc.constantFrom("ack", "fin"), offset }),
  fc.record({ type: fc.constant("rst" as const), code: fc.constantFrom("cancelled", "revoked"), text }),
  fc.record({ type: fc.constantFrom("ping", "pong", "done", "move") }),
)

const data = fc.record({
  type: fc.constant("data" as const),
  offset,
  bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((value) => Buffer.from(value)),
})

const encode = (frame: Frame): Buffer =>
  frame.type === "data"
    ? Buffer.concat([encodeDataHeader(frame.offset, frame.bytes.length), frame.bytes])
    : encodeControl(frame)

/** Pieces of one data frame are joined again; they must be consecutive. */
const joined = (frames: ReadonlyArray<Frame>): ReadonlyArray<Frame> => {
  const whole: Frame[] = []
  for (const frame of frames) {
    const last = whole.at(-1)
    if (frame.type === "data" && last?.type === "data" && last.offset + last.bytes.length === frame.offset)
      whole[whole.length - 1] = { ...last, bytes: Buffer.concat([last.bytes, frame.bytes]) }
    else whole.push(frame)
  }
  return whole
}

const decode = (flow: Buffer, cuts: ReadonlyArray<number>) => {
  const decoder = new FrameDecoder()
  const points = [...new Set([0, ...cuts.map((cut) => cut % (flow.length + 1)), flow.length])].sort(
    (a, b) => a - b,
  )
  const frames = points.slice(1).flatMap((end, index) => decoder.push(flow.subarray(points[index] ?? 0, end)))
  return { frames: joined(frames), failure: decoder.failure }
}

describe("stream frames", () => {
  it("come out as they went in, wherever the flow is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(control, data), { maxLength: 6 }),
        fc.array(fc.nat(3_000), { maxLength: 30 }),
        (frames, cuts) => {
          const decoded = decode(Buffer.concat(frames.map(encode)), cuts)
          expect(decoded).toEqual({ frames: joined(frames), failure: undefined })
        },
      ),
    )
  })

  it("survive a cut at every byte", () => {
    const frames: Frame[] = [
      { type: "ping" },
      { type: "data", offset: 2 ** 40, bytes: Buffer.from("some bytes") },
      { type: "ack", offset: 2 ** 52 + 1 },
      { type: "rst", code: "target", text: "gone" },
      { type: "data", offset: 7, bytes: Buffer.from("x") },
    ]
    const flow = Buffer.concat(frames.map(encode))
    for (let at = 0; at <= flow.length; at += 1) expect(decode(flow, [at]).frames).toEqual(frames)
    expect(decode(flow, Array.from(flow.keys())).frames).toEqual(frames)
  })

  it("hand payload out without copying it", () => {
    const flow = encode({ type: "data", offset: 0, bytes: Buffer.alloc(100) })
    const [first] = new FrameDecoder().push(flow)
    expect(first?.type === "data" && first.bytes.buffer === flow.buffer).toBe(true)
  })

  it("cost 12 bytes per data frame and 12 per acknowledgement", () => {
    expect(encodeDataHeader(1, 1).length).toBe(12)
    expect(encodeControl({ type: "ack", offset: 1 }).length).toBe(12)
  })

  it("cut long texts between characters", () => {
    const { frames } = decode(encodeControl({ type: "rst", code: "target", text: "ü".repeat(1_000) }), [])
    expect(frames).toEqual([{ type: "rst", code: "target", text: "ü".repeat(limits.resumeTextBytes / 2) }])
  })

  const header = (type: number, length: number): Buffer => {
    const buffer = Buffer.alloc(4)
    buffer[0] = type
    buffer.writeUIntBE(length, 1, 3)
    return buffer
  }

  it.each([
    ["of type 0", header(0, 0)],
    ["of an unknown type", header(12, 0)],
    ["of data without payload", header(4, 8)],
    ["of data beyond the limit", header(4, 9 + limits.resumeChunkBytes)],
    ["of a hello that is too short", header(1, 10)],
    ["of a text beyond the limit", header(7, 2 + limits.resumeTextBytes)],
    ["of a ping with a body", header(8, 1)],
    ["of data beyond 2^53", Buffer.concat([header(4, 9), Buffer.alloc(8, 0xff), Buffer.from("x")])],
    ["of a reset with an unknown code", Buffer.concat([header(7, 1), Buffer.from([99])])],
  ])("end the flow at a frame %s, and deliver what came before", (_, bad) => {
    const { frames, failure } = decode(
      Buffer.concat([encode({ type: "ping" }), bad, encode({ type: "pong" })]),
      [],
    )
    expect(frames).toEqual([{ type: "ping" }])
    expect(failure).toEqual(expect.any(String))
  })

  it("never throw, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (pieces) => {
        const decoder = new FrameDecoder()
        for (const piece of pieces) decoder.push(Buffer.from(piece))
      }),
      { numRuns: 2_000 },
    )
  })
})

describe("the proof of a resume", () => {
  const claim = {
    version: 1,
    mode: "resume" as const,
    attach: 3,
    next: 1_000,
    ack: 900,
    window: 4_096,
    kind: "tcp" as const,
    target: "",
  }

  it("is that of the secret and of everything else in the hello", () => {
    const identity = newIdentity()
    const signed = signHello(identity, { ...claim, id: identity.id })
    expect(verifyHello(identity.secret, signed)).toBe(true)
    expect(signed.auth.equals(identity.secret)).toBe(false)
    expect(verifyHello(newIdentity().secret, signed)).toBe(false)
    for (const change of [
      { attach: 4 },
      { next: 1_001 },
      { ack: 901 },
      { window: 1 },
      { id: newIdentity().id },
    ])
      expect(verifyHello(identity.secret, { ...signed, ...change }), JSON.stringify(change)).toBe(false)
  })

  it("is the secret itself only for a new stream", () => {
    const identity = newIdentity()
    const signed = signHello(identity, { ...claim, mode: "new", id: identity.id })
    expect(verifyHello(identity.secret, signed)).toBe(true)
    expect(verifyHello(identity.secret, { ...signed, mode: "resume" })).toBe(false)
  })
})
