import { once } from "node:events"
import { duplexPair } from "node:stream"
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { StreamLost } from "../../src/stream/Outcome.ts"
import { closeAll, collect, errorOf, inMemory } from "./Harness.ts"
import { ManualClock, rest } from "./ManualClock.ts"

afterEach(closeAll)

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
