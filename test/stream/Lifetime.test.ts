import { once } from "node:events"
import { duplexPair } from "node:stream"
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { type StreamError, StreamLost, StreamRefused, StreamReset } from "../../src/stream/Outcome.ts"
import type { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import type { IncomingStream } from "../../src/stream/StreamServer.ts"
import { closeAll, collect, eventually, inMemory, overSockets } from "./Harness.ts"
import { ManualClock, rest } from "./ManualClock.ts"

afterEach(closeAll)

const errorOf = async (stream: ResumableDuplex): Promise<StreamError> => {
  const [error] = (await once(stream, "error")) as [StreamError]
  return error
}

describe("the resume window", () => {
  it("ends a stream at both ends when no carrier comes back", async () => {
    const clock = new ManualClock()
    let reachable = true
    const harness = inMemory({ clock })
    const client = harness.connect({
      openCarrier: async () => {
        if (!reachable) throw new Error("no replica answers")
        const [near, far] = duplexPair()
        near.once("close", () => far.destroy())
        harness.server.accept(far, "")
        harness.carriers.push(near)
        return near
      },
    })
    await rest()
    const server = await harness.next()
    const told: string[] = []
    client.on("suspended", () => told.push("client suspended"))
    server.on("suspended", () => told.push("server suspended"))
    reachable = false
    harness.carriers[0]?.destroy()
    await rest()
    expect(told.sort()).toEqual(["client suspended", "server suspended"])
    expect([client.suspended, server.suspended]).toEqual([true, true])

    const errors = Promise.all([errorOf(client), errorOf(server)])
    client.write("written while nobody listens")
    await clock.advance(limits.resumeWindowMs - 1)
    expect([client.destroyed, server.destroyed]).toEqual([false, false])
    await clock.advance(1)
    const [atClient, atServer] = await errors
    expect(atClient).toBeInstanceOf(StreamLost)
    expect(atServer).toBeInstanceOf(StreamLost)
    expect(harness.server.size).toBe(0)
    // The server remembers the end for a late client, and then nothing at all is left.
    await clock.advance(limits.resumeWindowMs)
    expect(clock.waiting).toBe(0)
  })

  it("is used to the last millisecond", async () => {
    const clock = new ManualClock()
    let reachable = true
    const harness = inMemory({ clock })
    const accept = async () => {
      if (!reachable) throw new Error("no replica answers")
      const [near, far] = duplexPair()
      near.once("close", () => far.destroy())
      harness.server.accept(far, "")
      harness.carriers.push(near)
      return near
    }
    const client = harness.connect({ openCarrier: accept })
    await rest()
    const server = await harness.next()
    reachable = false
    harness.carriers[0]?.destroy()
    await rest()
    client.end("late")
    await clock.advance(limits.resumeWindowMs - limits.resumeBackoffCapMs)
    reachable = true
    const stall = once(client, "resumed")
    await clock.advance(limits.resumeBackoffCapMs - 1)
    expect((await stall)[0]).toBeGreaterThanOrEqual(limits.resumeWindowMs - limits.resumeBackoffCapMs)
    server.end()
    expect((await collect(server)).toString()).toBe("late")
  })

  it("also bounds the opening of a stream, and says what was wrong", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock })
    let attempts = 0
    const client = harness.connect({
      openCarrier: async () => {
        attempts += 1
        throw new Error("connection refused")
      },
    })
    const error = errorOf(client)
    await clock.advance(limits.resumeOpenMs)
    expect(await error).toMatchObject({
      _tag: "StreamLost",
      message: expect.stringContaining("connection refused"),
    })
    await expect(client.opened).rejects.toBeInstanceOf(StreamLost)
    expect(attempts).toBeGreaterThan(5)
    expect(clock.waiting).toBe(0)
  })
})

describe("a carrier that swallows everything", () => {
  it("is replaced within the probe limits", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock })
    let swallow = false
    const client = harness.connect({
      openCarrier: async () => {
        const [near, far] = duplexPair()
        const [inner, outer] = duplexPair()
        // A hop between the two that stops passing anything on without closing.
        far.on("data", (chunk) => swallow || inner.write(chunk))
        inner.on("data", (chunk) => swallow || far.write(chunk))
        harness.server.accept(outer, "")
        return near
      },
    })
    await rest()
    const server = await harness.next()
    swallow = true
    client.write("keystroke")
    const stall = once(client, "resumed")
    await clock.advance(limits.resumeProbeMs + limits.resumeProbeTimeoutMs - 1)
    expect(client.suspended).toBe(false)
    swallow = false
    await clock.advance(1 + limits.resumeBackoffBaseMs)
    await stall
    expect(server.read()?.toString()).toBe("keystroke")
  })

  it("is replaced soon even before the stream was taken", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock })
    const client = harness.connect({
      openCarrier: async (attempt) => {
        const [near, far] = duplexPair()
        if (attempt === 1) far.resume()
        else harness.server.accept(far, "")
        return near
      },
    })
    await clock.advance(limits.resumeAttachMs + limits.resumeBackoffCapMs)
    await client.opened
  })

  it("is noticed by an idle stream as well, by both ends", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock })
    let swallow = false
    harness.connect({
      openCarrier: async () => {
        if (swallow) throw new Error("nobody there")
        const [near, far] = duplexPair()
        const [inner, outer] = duplexPair()
        far.on("data", (chunk) => swallow || inner.write(chunk))
        inner.on("data", (chunk) => swallow || far.write(chunk))
        harness.server.accept(outer, "")
        return near
      },
    })
    await rest()
    const server = await harness.next()
    await clock.advance(10 * limits.resumeIdleProbeMs)
    expect(server.suspended).toBe(false)
    swallow = true
    await clock.advance(limits.resumeIdleProbeMs + limits.resumeProbeTimeoutMs)
    expect(server.suspended).toBe(true)
  })
})

describe("a stream that is not taken", () => {
  it("ends with the server's reason, and the server keeps nothing", async () => {
    const harness = await overSockets({
      onStream: (incoming) => incoming.refuse("target", "cannot reach 127.0.0.1:80: ECONNREFUSED"),
    })
    const client = harness.connect()
    client.on("data", () => undefined)
    const refused = {
      _tag: "StreamRefused",
      code: "target",
      message: "cannot reach 127.0.0.1:80: ECONNREFUSED",
    }
    await expect(client.opened).rejects.toMatchObject(refused)
    expect(await client.outcome).toMatchObject({ _tag: "Refused", code: "target" })
    expect(harness.server.size).toBe(0)
  })

  it("is refused when the application does not decide in time", async () => {
    const clock = new ManualClock()
    const harness = inMemory({ clock, onStream: () => undefined })
    const client = harness.connect()
    const error = errorOf(client)
    await clock.advance(limits.resumeAcceptMs)
    expect(await error).toMatchObject({ _tag: "StreamRefused", code: "timeout" })
  })

  it("is refused beyond the number of streams, without harm to the others", async () => {
    const harness = await overSockets({ maxStreams: 2 })
    const first = harness.connect()
    const second = harness.connect()
    await Promise.all([first.opened, second.opened])
    const third = harness.connect()
    await expect(third.opened).rejects.toMatchObject({ _tag: "StreamRefused", code: "limit" })
    first.end("x")
    expect((await collect((await harness.next()).end())).toString()).toBe("x")
    await eventually(() => harness.server.size === 1, "the first stream is over")
    await harness.connect().opened
  })

  it("fails at once when another carrier cannot help", async () => {
    const harness = inMemory()
    const client = harness.connect({
      openCarrier: async () => {
        throw new StreamRefused({ code: "denied", message: "no such sandbox" })
      },
    })
    await expect(client.opened).rejects.toMatchObject({ _tag: "StreamRefused", code: "denied" })
  })
})

describe("a stream whose target takes time", () => {
  it("is waited for as long as the server says that it decides", async () => {
    const clock = new ManualClock()
    const asked: IncomingStream[] = []
    const harness = inMemory({ clock, onStream: (incoming) => void asked.push(incoming) })
    const client = harness.connect()
    await clock.advance(limits.resumeAcceptMs - 1)
    asked[0]?.accept()
    await rest()
    await client.opened
    expect(harness.carriers.length).toBe(1)
  })

  it("is asked for once, however many carriers it takes, and loses no early bytes", async () => {
    const asked: IncomingStream[] = []
    const harness = await overSockets({ onStream: (incoming) => void asked.push(incoming) })
    const client = harness.connect({ random: () => 0 })
    client.write("early ")
    for (let lost = 1; lost <= 3; lost += 1) {
      await eventually(() => harness.carriers.length === lost, `carrier ${lost}`)
      await eventually(() => asked.length === 1, "the stream is asked for")
      harness.carriers[lost - 1]?.destroy()
    }
    await eventually(() => harness.carriers.length === 4, "another carrier")
    const server = asked[0]?.accept()
    client.end("bytes")
    expect((await collect(server ?? client)).toString()).toBe("early bytes")
    expect(asked.length).toBe(1)
  })
})

describe("an end that gives up", () => {
  it("tells the other its code and reason", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    const error = errorOf(client)
    server.abort("revoked", "access to the sandbox was revoked")
    expect(await error).toBeInstanceOf(StreamReset)
    expect(await client.outcome).toEqual({
      _tag: "Reset",
      by: "peer",
      code: "revoked",
      text: "access to the sandbox was revoked",
    })
    expect(await server.outcome).toMatchObject({ _tag: "Reset", by: "local", code: "revoked" })
    await eventually(() => harness.server.size === 0, "the server lets go")
  })

  it("tells the other even if there was no carrier at that moment", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    await client.opened
    harness.carriers[0]?.destroy()
    await once(client, "suspended")
    client.destroy()
    expect(await server.outcome).toMatchObject({ _tag: "Reset", by: "peer", code: "cancelled" })
  })

  it("learns of a reset that happened while it was away", async () => {
    const harness = await overSockets()
    const client = harness.connect({ random: () => 0.99 })
    const server = await harness.next()
    await client.opened
    harness.carriers[0]?.destroy()
    await once(server, "suspended")
    server.abort("target", "the target was closed")
    expect(await client.outcome).toMatchObject({ _tag: "Reset", by: "peer", code: "target" })
  })

  it("takes all streams of a server along when that closes", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    await client.opened
    harness.server.close("the sandbox stops")
    expect(await client.outcome).toMatchObject({ _tag: "Reset", text: "the sandbox stops" })
    await eventually(() => harness.server.size === 0, "the server lets go")
  })
})
