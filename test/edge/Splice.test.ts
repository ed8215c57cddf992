import { createHash, randomBytes } from "node:crypto"
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { peerLeg } from "../../src/edge/PeerLeg.ts"
import { splice } from "../../src/edge/Splice.ts"
import { encodeFrame } from "../../src/wire/grpc/Framing.ts"

interface Pair {
  readonly near: http2.ClientHttp2Stream
  readonly far: http2.ServerHttp2Stream
}

/** Two ends of one HTTP/2 stream on a connection of its own. */
const pair = async (): Promise<Pair> => {
  const server = http2.createServer()
  const arrived = new Promise<http2.ServerHttp2Stream>((resolve) =>
    server.once("stream", (stream) => {
      stream.respond({ ":status": 200 })
      stream.on("error", () => {})
      resolve(stream)
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const near = session.request({ ":method": "POST", ":path": "/" }, { endStream: false })
  near.on("error", () => {})
  await new Promise((resolve) => near.once("response", resolve))
  const far = await arrived
  onTestFinished(() => {
    session.destroy()
    server.close()
  })
  return { near, far }
}

/** A client and a supervisor whose streams a gateway joins in its middle. */
const joined = async () => {
  const client = await pair()
  const supervisor = await pair()
  const done = splice(peerLeg(client.far), peerLeg(supervisor.far), { guardA: true, guardB: true })
  return { client: client.near, supervisor: supervisor.near, done }
}

/** A relay message with `size` bytes of data (field 2). */
const dataFrame = (payload: Buffer): Buffer => {
  const length: Array<number> = []
  for (let rest = payload.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    if (rest <= 0x7f) break
  }
  return encodeFrame(Buffer.concat([Buffer.from([0x12, ...length]), payload]))
}

const collect = (stream: http2.Http2Stream): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = []
    stream.on("data", (chunk: Buffer) => chunks.push(chunk))
    stream.once("end", () => (stream.aborted ? reject(new Error("aborted")) : resolve(Buffer.concat(chunks))))
    stream.once("close", () => reject(new Error("closed")))
  })

describe("splice", () => {
  it("carries bytes unchanged both ways and closes both sides in order", async () => {
    const { client, supervisor, done } = await joined()
    const up = Buffer.concat(Array.from({ length: 64 }, () => dataFrame(randomBytes(64 * 1024))))
    const down = dataFrame(randomBytes(700_000))
    const atSupervisor = collect(supervisor)
    const atClient = collect(client)
    client.end(up)
    supervisor.end(down)
    const hash = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex")
    expect(hash(await atSupervisor)).toBe(hash(up))
    expect(hash(await atClient)).toBe(hash(down))
    await done
  })

  it("passes a half-close on while the other direction goes on", async () => {
    const { client, supervisor, done } = await joined()
    const atSupervisor = collect(supervisor)
    const atClient = collect(client)
    client.end(dataFrame(Buffer.from("question")))
    await atSupervisor
    const answer = dataFrame(Buffer.from("answer after the half-close"))
    supervisor.end(answer)
    expect(await atClient).toEqual(answer)
    await done
  })

  it("resets the other side when one is cut, and never lets a cut pass for an end", async () => {
    const { client, supervisor, done } = await joined()
    supervisor.write(dataFrame(Buffer.from("half of it")))
    await new Promise((resolve) => client.once("data", resolve))
    const atClient = collect(client)
    supervisor.destroy(new Error("the supervisor is gone"))
    await expect(atClient).rejects.toThrow()
    await done
  })

  it("stops reading from a side whose other side does not read", async () => {
    const { client, supervisor } = await joined()
    supervisor.pause()
    const block = dataFrame(Buffer.alloc(256 * 1024))
    for (let round = 0; round < 400; round += 1) {
      client.write(block)
      if (client.writableLength > 16 * 1024 * 1024) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    // Default windows are 64 KiB here: what is not pinned by windows and socket buffers waits at the sender.
    expect(client.writableLength).toBeGreaterThan(8 * 1024 * 1024)
    client.destroy()
  })

  it("refuses a message above the limit and tells both sides", async () => {
    const { client, supervisor, done } = await joined()
    const atSupervisor = collect(supervisor)
    const header = Buffer.alloc(5)
    header.writeUInt32BE(1_048_577, 1)
    client.write(header)
    await expect(atSupervisor).rejects.toThrow()
    await done
  })
})
