/**
 * Runs inside each sandbox of a drill, as its main process: a TCP echo, and an HTTP server that answers each
 * request with its body and echoes WebSocket messages. Also the exec that prints for a while. It is sent as text
 * (SandboxProgram.ts), so it imports only Node's own modules and the content that it prints.
 */
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import http from "node:http"
import net, { type AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { randomContent } from "../check/Content.ts"

const portOf = (server: net.Server): number => {
  const address: AddressInfo | string | null = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

const listen = (server: net.Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(portOf(server))))

const ignore = (): void => {}

const echo = (socket: Duplex): void => {
  socket.on("error", ignore)
  socket.pipe(socket)
}

/** RFC 6455, section 1.3 */
const acceptOf = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

/** A frame without a mask; sizes as in RFC 6455, section 5.2. */
const frame = (opcode: number, payload: Buffer): Buffer => {
  const header = Buffer.alloc(payload.length < 126 ? 2 : 4)
  header[0] = 0x80 | opcode
  if (payload.length < 126) header[1] = payload.length
  else {
    header[1] = 126
    header.writeUInt16BE(payload.length, 2)
  }
  return Buffer.concat([header, payload])
}

/** Echoes whole messages of at most 64 KiB until the other end closes. */
const talk = (socket: Duplex, head: Buffer): void => {
  let pending = head
  const take = (): Buffer | undefined => {
    const short = (pending[1] ?? 0) & 0x7f
    const start = short === 126 ? 4 : 2
    if (pending.length < start + 4) return undefined
    const length = short === 126 ? pending.readUInt16BE(2) : short
    const end = start + 4 + length
    if (pending.length < end) return undefined
    const mask = pending.subarray(start, start + 4)
    const payload = Buffer.from(pending.subarray(start + 4, end))
    for (let at = 0; at < length; at++) payload[at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0)
    const opcode = (pending[0] ?? 0) & 0x0f
    pending = pending.subarray(end)
    socket.write(frame(opcode, payload))
    if (opcode === 8) socket.end()
    return payload
  }
  const consume = (): void => {
    while (pending.length >= 2 && take() !== undefined);
  }
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    consume()
  })
  socket.on("error", ignore)
  socket.on("end", () => socket.end())
  consume()
}

const serve = async (file: string): Promise<void> => {
  const tcp = net.createServer({ allowHalfOpen: true, noDelay: true }, echo)
  const web = http.createServer((request, response) => {
    request.on("error", ignore)
    request.pipe(response)
  })
  web.keepAliveTimeout = 0
  web.requestTimeout = 0
  web.on("upgrade", (request, socket, head) => {
    socket.write(
      [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${acceptOf(request.headers["sec-websocket-key"] ?? "")}`,
        "\r\n",
      ].join("\r\n"),
    )
    talk(socket, head)
  })
  writeFileSync(file, JSON.stringify({ tcp: await listen(tcp), web: await listen(web) }))
}

/** Prints `pieces` pieces of the content, one at each interval. */
const printContent = (seed: number, pieces: number, pieceBytes: number, intervalMs: number): void => {
  const content = randomContent(seed)
  let printed = 0
  const next = (): void => {
    const piece = Buffer.alloc(pieceBytes)
    content.fill(printed * pieceBytes, piece)
    process.stdout.write(piece)
    printed += 1
    if (printed < pieces) setTimeout(next, intervalMs)
  }
  next()
}

const [verb = "", ...words] = process.argv.slice(1)
const numbers = words.map(Number)
if (verb === "serve") await serve(words[0] ?? "")
if (verb === "print") printContent(numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 0, numbers[3] ?? 0)
