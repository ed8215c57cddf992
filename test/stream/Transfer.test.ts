import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { duplexPair, Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { closeAll, collect, digest, eventually, inMemory, overSockets } from "./Harness.ts"

afterEach(closeAll)

const finished = { _tag: "Finished" }
const megabyte = 1_048_576

/** `total` random bytes in chunks of many sizes, and the hash of what was read of them. */
const source = (total: number) => {
  const hash = digest()
  const block = randomBytes(megabyte)
  const generate = function* (): Generator<Buffer> {
    let left = total
    for (let turn = 0; left > 0; turn += 1) {
      const size = Math.min(left, [1, 700, 4_096, 65_536, 300_000, megabyte][turn % 6] ?? 1)
      const chunk = block.subarray((turn * 31) % (megabyte - size + 1)).subarray(0, size)
      hash.update(chunk)
      left -= size
      yield chunk
    }
  }
  return { stream: Readable.from(generate(), { objectMode: false }), hash }
}

const hashOf = async (stream: AsyncIterable<Buffer>) => {
  const hash = digest()
  let bytes = 0
  for await (const chunk of stream) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, hash: hash.digest("hex") }
}

describe("a stream over sockets that are destroyed", () => {
  it("carries 64 MiB each way at once, unchanged, with a cut every 3 MiB", async () => {
    const total = 64 * megabyte
    const harness = await overSockets({ cutEveryBytes: 3 * megabyte })
    const client = harness.connect()
    const stalls: number[] = []
    client.on("resumed", (stallMs: number) => stalls.push(stallMs))
    const server = await harness.next()
    const up = source(total)
    const down = source(total)
    const [atServer, atClient] = await Promise.all([
      hashOf(server),
      hashOf(client),
      pipeline(up.stream, client),
      pipeline(down.stream, server),
    ])
    expect(atServer).toEqual({ bytes: total, hash: up.hash.digest("hex") })
    expect(atClient).toEqual({ bytes: total, hash: down.hash.digest("hex") })
    expect(harness.cuts()).toBeGreaterThan(20)
    expect(stalls.length).toBeGreaterThan(10)
    expect(await Promise.all([client.outcome, server.outcome])).toEqual([finished, finished])
  })

  it("moves to a second carrier without a pause, and closes the first", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const told: string[] = []
    for (const name of ["suspended", "resumed", "moved"]) client.on(name, () => told.push(name))
    const server = await harness.next()
    const up = source(24 * megabyte)
    const moving = (async () => {
      for (let moves = 1; moves <= 5; moves += 1) {
        client.move()
        await eventually(() => told.length === moves, `move ${moves}`)
      }
    })()
    const [atServer] = await Promise.all([hashOf(server), pipeline(up.stream, client), moving])
    expect(atServer.hash).toBe(up.hash.digest("hex"))
    expect(told).toEqual(["moved", "moved", "moved", "moved", "moved"])
    server.end()
    expect(await collect(client)).toEqual(Buffer.alloc(0))
    expect(await client.outcome).toEqual(finished)
    await eventually(() => harness.carriers.every((carrier) => carrier.destroyed), "all carriers are closed")
  })
})

it("leaves a carrier that the server says will not last", async () => {
  const [first, second] = [duplexPair(), duplexPair()]
  const harness = inMemory()
  const accepted = [first, second].map(([, far]) => harness.server.accept(far, ""))
  let opened = 0
  const client = harness.connect({
    openCarrier: async () => {
      opened += 1
      return opened === 1 ? first[0] : second[0]
    },
  })
  const told: string[] = []
  for (const name of ["suspended", "resumed", "moved"]) client.on(name, () => told.push(name))
  const server = await harness.next()
  await client.opened
  accepted[0]?.move()
  await eventually(() => told.length > 0, "the client moves")
  client.end("over the second")
  expect((await collect(server)).toString()).toBe("over the second")
  expect(told).toEqual(["moved"])
  expect(opened).toBe(2)
})

describe("each direction of a stream", () => {
  it("ends by itself: the client first", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    client.end("question")
    const server = await harness.next()
    expect((await collect(server)).toString()).toBe("question")
    server.write("an")
    server.end("swer")
    expect((await collect(client)).toString()).toBe("answer")
    expect(await Promise.all([client.outcome, server.outcome])).toEqual([finished, finished])
  })

  it("ends by itself: the server first, across a loss", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    server.end("bye")
    expect((await collect(client)).toString()).toBe("bye")
    harness.carriers[0]?.destroy()
    client.end("still here")
    expect((await collect(server)).toString()).toBe("still here")
    expect(await Promise.all([client.outcome, server.outcome])).toEqual([finished, finished])
  })

  it("finishes when the peer's application has consumed all, not when it was sent", async () => {
    const harness = inMemory()
    const client = harness.connect()
    const server = await harness.next()
    client.end("unread")
    await eventually(() => server.readableLength === 6, "the bytes are at the server")
    expect(client.writableFinished).toBe(false)
    server.resume()
    await once(client, "finish")
  })
})

describe("backpressure", () => {
  it("stops a writer whose peer does not read, within the bounds of both buffers", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    const total = 16 * megabyte
    const chunk = Buffer.alloc(65_536, 1)
    let written = 0
    const writing = (async () => {
      for (; written < total; written += chunk.length) {
        if (!client.write(chunk)) await once(client, "drain")
      }
      client.end()
    })()
    let before = -1
    await eventually(() => {
      const stands = written === before
      before = written
      return stands && written > 0
    }, "the writer stops")
    expect(written).toBeLessThanOrEqual(limits.resumeReplayBytes + 4 * chunk.length)
    expect(server.readableLength).toBeLessThanOrEqual(limits.readAheadBytes + chunk.length)
    const { bytes } = await hashOf(server)
    await writing
    expect(bytes).toBe(total)
  })

  it("does not let a direction that stands hold up the other", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    client.write(Buffer.alloc(8 * megabyte))
    const down = source(8 * megabyte)
    const [atClient] = await Promise.all([hashOf(client), pipeline(down.stream, server)])
    expect(atClient.hash).toBe(down.hash.digest("hex"))
  })

  it("takes single bytes by the hundred thousand", async () => {
    const harness = await overSockets({ cutEveryBytes: 60_000 })
    const client = harness.connect()
    const server = await harness.next()
    const byte = Buffer.from("x")
    const received = collect(server)
    for (let count = 0; count < 200_000; count += 1) if (!client.write(byte)) await once(client, "drain")
    client.end()
    expect((await received).equals(Buffer.alloc(200_000, "x"))).toBe(true)
    expect(harness.cuts()).toBeGreaterThan(2)
  })

  it("serves consumers of every style", async () => {
    const harness = await overSockets()
    const client = harness.connect()
    const server = await harness.next()
    const echo = pipeline(server, server)
    const chunks: Buffer[] = []
    client.on("readable", () => {
      for (let chunk = client.read(5); chunk !== null; chunk = client.read(5) ?? client.read())
        chunks.push(chunk)
    })
    client.end("one two three four five six")
    await once(client, "end")
    await echo
    expect(Buffer.concat(chunks).toString()).toBe("one two three four five six")
    expect(await client.outcome).toEqual(finished)
  })
})
