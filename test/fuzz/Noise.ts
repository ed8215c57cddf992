/** HTTP/2 that is none, or is wrong: raw bytes on a connection of their own. */
import { connect } from "node:net"
import type { Random } from "../simulation/kernel/Random.ts"
import { randomBytes } from "./Mutate.ts"

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])

const http2Frame = (
  type: number,
  flags: number,
  stream: number,
  payload: Buffer,
  claimed = payload.length,
): Buffer => {
  const header = Buffer.alloc(9)
  header.writeUIntBE(claimed & 0xff_ffff, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream >>> 0, 5)
  return Buffer.concat([header, payload])
}

const anyFrame = (random: Random): Buffer => {
  const payload = randomBytes(random, random.below(40))
  const stream = random.chance(0.5) ? 1 + 2 * random.below(5) : random.below(0x1_0000_0000)
  // Types 0 to 9 are HTTP/2's own; 10 and above are to be ignored.
  const type = random.below(14)
  const claimed = random.chance(0.1) ? random.below(0x100_0000) : payload.length
  return http2Frame(type, random.below(256), stream, payload, claimed)
}

const shapes: ReadonlyArray<(random: Random) => Buffer> = [
  (random) => randomBytes(random, 1 + random.below(300)),
  (random) =>
    Buffer.concat([preface.subarray(0, random.below(preface.length)), randomBytes(random, random.below(30))]),
  (random) => Buffer.concat([preface, randomBytes(random, random.below(200))]),
  (random) =>
    Buffer.concat([
      preface,
      emptySettings,
      ...Array.from({ length: 1 + random.below(12) }, () => anyFrame(random)),
    ]),
  // A flow window that overflows, and settings that cannot be.
  () => Buffer.concat([preface, emptySettings, http2Frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))]),
  (random) => Buffer.concat([preface, http2Frame(4, 0, 0, randomBytes(random, 6 * random.below(10)))]),
  // Headers that never end.
  (random) =>
    Buffer.concat([
      preface,
      emptySettings,
      http2Frame(1, 0, 1, randomBytes(random, 20)),
      http2Frame(9, 0, 1, randomBytes(random, 200)),
    ]),
  (random) =>
    Buffer.from(
      `GET /${"x".repeat(random.below(9_000))} HTTP/1.1\r\nHost: ${"a".repeat(random.below(300))}\r\n\r\n`,
    ),
  (random) =>
    Buffer.from(
      `POST / HTTP/1.1\r\nContent-Length: ${random.below(1e9)}\r\nTransfer-Encoding: chunked\r\n\r\nzz`,
    ),
  // The first bytes of a TLS handshake.
  (random) => Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0]), randomBytes(random, 100)]),
]

/** Ends when the gateway has closed the connection, or when it keeps waiting for more, which it may. */
export const noise = (port: number, random: Random): Promise<number> =>
  new Promise((resolve) => {
    const bytes = (random.pick(shapes) ?? anyFrame)(random)
    const socket = connect({ host: "127.0.0.1", port })
    const patience = setTimeout(() => socket.destroy(), 150)
    socket.on("error", () => {})
    socket.resume()
    socket.once("close", () => {
      clearTimeout(patience)
      resolve(1)
    })
    socket.once("connect", () => {
      socket.write(bytes)
      if (random.chance(0.3)) socket.resetAndDestroy()
      else if (random.chance(0.5)) socket.end()
    })
  })
