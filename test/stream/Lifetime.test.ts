import { once } from "node:events"
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { StreamRefused, StreamReset } from "../../src/stream/Outcome.ts"
import type { IncomingStream } from "../../src/stream/StreamServer.ts"
import { closeAll, collect, errorOf, eventually, inMemory, overSockets } from "./Harness.ts"
import { ManualClock, rest } from "./ManualClock.ts"

afterEach(closeAll)

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

it("refuses a target that fits into no hello, and an opener that throws is one that failed", async () => {
  const harness = inMemory()
  const long = harness.connect({ target: "x".repeat(limits.resumeTargetBytes + 1) })
  await expect(long.opened).rejects.toMatchObject({ _tag: "StreamRefused", code: "target" })
  const throwing = harness.connect({
    openCarrier: () => {
      throw new StreamRefused({ code: "denied", message: "thrown" })
    },
  })
  await expect(throwing.opened).rejects.toMatchObject({ code: "denied" })
  expect(harness.server.size).toBe(0)
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
