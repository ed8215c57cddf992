/** The measurements of byte ways. Every one checks that what it sent arrived, and fails when it did not. */
import { createHash, randomBytes } from "node:crypto"
import type { Duplex } from "node:stream"
import { chunkBytes, header, modes, sendAll } from "./Conversation.ts"
import { dial } from "./Dial.ts"
import type { Direction, Way } from "./Protocol.ts"

const echoBytes = 64
const ping = Buffer.alloc(echoBytes, 0x2e)
ping[0] = modes.echo

/** Rejects when the stream fails or closes before `length` bytes came; `onChunk` sees them as they come. */
const receive = (stream: Duplex, length: number, onChunk?: (chunk: Buffer) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    let received = 0
    const settle = (error?: Error): void => {
      stream.off("data", onData)
      stream.off("error", settle)
      stream.off("close", onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onData = (chunk: Buffer): void => {
      received += chunk.length
      onChunk?.(chunk)
      if (received === length) settle()
      else if (received > length) settle(new Error(`${received} bytes arrived in place of ${length}`))
    }
    const onClose = (): void => settle(new Error(`closed after ${received} of ${length} bytes`))
    stream.on("data", onData)
    stream.once("error", settle)
    stream.once("close", onClose)
  })

const closed = (stream: Duplex): Promise<void> =>
  new Promise((resolve, reject) => {
    if (stream.destroyed) return resolve()
    stream.once("error", reject)
    stream.once("close", resolve)
    stream.resume()
  })

const end = (stream: Duplex): Promise<void> => {
  const done = closed(stream)
  stream.end()
  return done
}

export const open = async (way: Way, count: number): Promise<ReadonlyArray<number>> => {
  const samplesMs: Array<number> = []
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now()
    const stream = await dial(way)
    const answer = receive(stream, echoBytes)
    stream.write(ping)
    await answer
    await end(stream)
    samplesMs.push(performance.now() - startedAt)
  }
  return samplesMs
}

export const roundTrip = async (way: Way, count: number): Promise<ReadonlyArray<number>> => {
  const stream = await dial(way)
  const samplesMs: Array<number> = []
  await new Promise<void>((resolve, reject) => {
    let received = 0
    let sentAt = 0
    const send = (): void => {
      sentAt = performance.now()
      stream.write(ping)
    }
    stream.on("data", (chunk: Buffer) => {
      received += chunk.length
      if (received < echoBytes) return
      received = 0
      samplesMs.push(performance.now() - sentAt)
      if (samplesMs.length === count) resolve()
      else send()
    })
    stream.once("error", reject)
    stream.once("close", () => reject(new Error("closed during round trips")))
    send()
  })
  stream.removeAllListeners("close")
  await end(stream)
  return samplesMs
}

const chunk = Buffer.alloc(chunkBytes, 0xa5)
const filler = (bytes: number): Buffer => (bytes === chunkBytes ? chunk : chunk.subarray(0, bytes))

const upload = async (stream: Duplex, bytes: number): Promise<void> => {
  let reply = Buffer.alloc(0)
  const answer = receive(stream, 8, (part) => {
    reply = Buffer.concat([reply, part])
  })
  stream.write(header(modes.up, bytes))
  await Promise.all([answer, sendAll(stream, bytes, filler)])
  const count = Number(reply.readBigUInt64BE(0))
  if (count !== bytes) throw new Error(`the target counted ${count} of ${bytes} bytes`)
}

const download = async (stream: Duplex, bytes: number): Promise<void> => {
  const answer = receive(stream, bytes)
  stream.write(header(modes.down, bytes))
  await answer
}

export const bulk = async (
  way: Way,
  direction: Direction,
  streams: number,
  bytes: number,
): Promise<{ readonly seconds: number; readonly bytes: number }> => {
  const each = Math.floor(bytes / streams)
  const opened = await Promise.all(Array.from({ length: streams }, () => dial(way)))
  const move = direction === "up" ? upload : download
  const startedAt = performance.now()
  await Promise.all(opened.map((stream) => move(stream, each)))
  const seconds = (performance.now() - startedAt) / 1_000
  await Promise.all(opened.map(end))
  return { seconds, bytes: each * streams }
}

export const verify = async (way: Way, bytes: number): Promise<void> => {
  const sent = createHash("sha256")
  const upwards = await dial(way)
  let digest = Buffer.alloc(0)
  const answer = receive(upwards, 32, (part) => {
    digest = Buffer.concat([digest, part])
  })
  upwards.write(header(modes.hash, bytes))
  const random = (length: number): Buffer => {
    const part = randomBytes(length)
    sent.update(part)
    return part
  }
  await Promise.all([answer, sendAll(upwards, bytes, random)])
  if (!sent.digest().equals(digest)) throw new Error("the bytes sent are not the bytes that arrived")
  await end(upwards)

  const downwards = await dial(way)
  const got: Array<Buffer> = []
  const arrived = receive(downwards, bytes + 32, (part) => got.push(part))
  downwards.write(header(modes.verified, bytes))
  await arrived
  const all = Buffer.concat(got)
  const hash = createHash("sha256").update(all.subarray(0, bytes)).digest()
  if (!hash.equals(all.subarray(bytes))) throw new Error("the bytes received are not the bytes sent")
  await end(downwards)
}
