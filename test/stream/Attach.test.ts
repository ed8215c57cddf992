import { type Duplex, duplexPair } from "node:stream"
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { FrameDecoder } from "../../src/stream/FrameDecoder.ts"
import {
  type ControlFrame,
  encodeControl,
  encodeDataHeader,
  type Frame,
  type HelloFrame,
} from "../../src/stream/Frames.ts"
import { newIdentity, type StreamIdentity, signHello } from "../../src/stream/Proof.ts"
import { closeAll, eventually, type Harness, inMemory } from "./Harness.ts"
import { ManualClock } from "./ManualClock.ts"

afterEach(closeAll)

/** A client that says what it likes. */
class Impostor {
  readonly frames: Frame[] = []
  readonly duplex: Duplex

  constructor(harness: Harness, binding = "") {
    const [near, far] = duplexPair()
    this.duplex = near
    const decoder = new FrameDecoder()
    near.on("data", (chunk: Buffer) => this.frames.push(...decoder.push(chunk)))
    near.once("close", () => far.destroy())
    far.once("close", () => near.destroy())
    harness.server.accept(far, binding)
  }

  say(...frames: ReadonlyArray<ControlFrame | Buffer>): void {
    for (const frame of frames) this.duplex.write(Buffer.isBuffer(frame) ? frame : encodeControl(frame))
  }

  async hears(): Promise<Frame> {
    await eventually(() => this.frames.length > 0, "a frame")
    const frame = this.frames.shift()
    if (frame === undefined) throw new Error("no frame")
    return frame
  }
}

const hello = (
  identity: StreamIdentity,
  changes: Partial<Omit<HelloFrame, "auth" | "type">> = {},
): HelloFrame =>
  signHello(identity, {
    version: 1,
    mode: "new",
    id: identity.id,
    attach: 1,
    next: 0,
    ack: 0,
    window: 1_000,
    kind: "tcp",
    target: "127.0.0.1:80",
    ...changes,
  })

const resume = (identity: StreamIdentity, attach: number, changes: Partial<HelloFrame> = {}): HelloFrame =>
  hello(identity, { mode: "resume", attach, ...changes })

const data = (offset: number, text: string): Buffer =>
  Buffer.concat([encodeDataHeader(offset, text.length), Buffer.from(text)])

const begin = async (harness: Harness, binding?: string) => {
  const identity = newIdentity()
  const first = new Impostor(harness, binding)
  first.say(hello(identity))
  expect(await first.hears()).toMatchObject({ type: "welcome", next: 0, ack: 0, from: 0 })
  return { identity, first, server: await harness.next() }
}

describe("the server of a stream", () => {
  it("lets the newest attach take over and turns an older one away", async () => {
    const harness = inMemory()
    const { identity, first, server } = await begin(harness)
    const third = new Impostor(harness)
    third.say(resume(identity, 3))
    expect(await third.hears()).toMatchObject({ type: "welcome" })
    const second = new Impostor(harness)
    second.say(resume(identity, 2))
    expect(await second.hears()).toMatchObject({ type: "refuse", code: "stale" })
    const again = new Impostor(harness)
    again.say(resume(identity, 3))
    expect(await again.hears()).toMatchObject({ type: "refuse", code: "stale" })

    first.say(data(0, "stolen"))
    third.say(data(0, "mine"))
    await eventually(() => server.readableLength > 0, "bytes")
    expect(server.read()?.toString()).toBe("mine")
  })

  it("resumes only for the secret and the binding of the stream", async () => {
    const harness = inMemory()
    const { identity, server } = await begin(harness, "sandbox-1 alice")
    const attempts: ReadonlyArray<readonly [string, HelloFrame]> = [
      ["sandbox-1 alice", resume({ ...newIdentity(), id: identity.id }, 2)],
      ["sandbox-1 alice", hello({ ...newIdentity(), id: identity.id }, { attach: 2 })],
      ["sandbox-1 alice", { ...resume(identity, 2), attach: 3 }],
      ["sandbox-1 mallory", resume(identity, 2)],
    ]
    for (const [binding, attempt] of attempts) {
      const stranger = new Impostor(harness, binding)
      stranger.say(attempt)
      expect(await stranger.hears()).toMatchObject({ type: "refuse", code: "denied" })
    }
    const owner = new Impostor(harness, "sandbox-1 alice")
    owner.say(resume(identity, 2))
    expect(await owner.hears()).toMatchObject({ type: "welcome" })
    expect(server.destroyed).toBe(false)
  })

  it("knows no stream that it did not begin", async () => {
    const stranger = new Impostor(inMemory())
    stranger.say(resume(newIdentity(), 2))
    expect(await stranger.hears()).toMatchObject({ type: "refuse", code: "unknown" })
  })

  it("speaks its own version only", async () => {
    const stranger = new Impostor(inMemory())
    stranger.say(hello(newIdentity(), { version: 9 }))
    expect(await stranger.hears()).toMatchObject({ type: "refuse", code: "version" })
  })

  it.each([
    ["wants bytes that were never sent", { next: 5, ack: 0 }],
    ["acknowledges bytes that were never sent", { next: 4, ack: 5 }],
    ["wants less than it consumed", { next: 2, ack: 3 }],
  ])("refuses a resume that %s, and ends the stream", async (_, offsets) => {
    const harness = inMemory()
    const { identity, first, server } = await begin(harness)
    server.write("four")
    expect(await first.hears()).toMatchObject({ type: "data", offset: 0 })
    const second = new Impostor(harness)
    second.say(resume(identity, 2, offsets))
    expect(await second.hears()).toMatchObject({ type: "refuse", code: "offsets" })
    expect(await server.outcome).toMatchObject({ _tag: "Reset", code: "protocol" })
  })

  it("resumes where the client is, with the offsets of both", async () => {
    const harness = inMemory()
    const { identity, first, server } = await begin(harness)
    first.say(data(0, "abcdef"))
    server.write("0123456789")
    expect(await first.hears()).toMatchObject({ type: "data", offset: 0 })
    first.duplex.destroy()
    const second = new Impostor(harness)
    second.say(resume(identity, 2, { next: 4, ack: 2 }))
    expect(await second.hears()).toMatchObject({ type: "welcome", next: 6, ack: 0, from: 4 })
    expect(await second.hears()).toEqual({ type: "data", offset: 4, bytes: Buffer.from("456789") })
    expect(server.read()?.toString()).toBe("abcdef")
    expect(await second.hears()).toEqual({ type: "ack", offset: 6 })
  })

  const contradictions: ReadonlyArray<readonly [what: string, frames: ReadonlyArray<ControlFrame | Buffer>]> =
    [
      ["a gap", [data(3, "x")]],
      ["bytes a second time on one carrier", [data(0, "abc"), data(1, "bc")]],
      ["bytes after the end", [{ type: "fin", offset: 0 }, data(1, "x")]],
      ["an end before the last byte", [data(0, "abc"), { type: "fin", offset: 2 }]],
      [
        "two different ends",
        [
          { type: "fin", offset: 0 },
          { type: "fin", offset: 1 },
        ],
      ],
      ["an acknowledgement of what was not sent", [{ type: "ack", offset: 1 }]],
      ["a second hello", [hello(newIdentity())]],
      ["an end of the stream that is not one", [{ type: "done" }]],
      ["something that is no frame", [Buffer.from([77, 0, 0, 0])]],
    ]

  it.each(contradictions)("resets a stream whose peer sends %s", async (_, frames) => {
    const { first, server } = await begin(inMemory())
    first.say(...frames)
    expect(await server.outcome).toMatchObject({ _tag: "Reset", by: "local", code: "protocol" })
    await eventually(
      () => first.frames.some((frame) => frame.type === "rst" && frame.code === "protocol"),
      "the reset is told",
    )
  })

  it("resets a peer that sends beyond its credit", async () => {
    const { first, server } = await begin(inMemory({ settings: { receiveBytes: 10 } }))
    first.say(data(0, "0123456789"), data(10, "!"))
    expect(await server.outcome).toMatchObject({ _tag: "Reset", code: "protocol" })
  })

  it("tells a client that missed the end how the stream ended", async () => {
    const harness = inMemory()
    const { identity, first, server } = await begin(harness)
    first.say(data(0, "all"), { type: "fin", offset: 3 })
    server.end()
    server.resume()
    await eventually(() => first.frames.some((frame) => frame.type === "fin"), "the end")
    first.say({ type: "ack", offset: 1 })
    expect(await server.outcome).toEqual({ _tag: "Finished" })
    const late = new Impostor(harness)
    late.say(resume(identity, 2, { next: 1 }))
    expect(await late.hears()).toMatchObject({ type: "refuse", code: "finished" })
  })

  it("drops a carrier that says nothing, or something else than hello", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock })
    const silent = new Impostor(harness)
    const wrong = new Impostor(harness)
    wrong.say({ type: "ping" })
    await eventually(() => wrong.duplex.destroyed, "the wrong one is closed")
    expect(silent.duplex.destroyed).toBe(false)
    await clock.advance(limits.resumeHelloMs)
    expect(silent.duplex.destroyed).toBe(true)
    expect(harness.server.size).toBe(0)
  })
})
