/** What all ways lead to: a TCP server on loopback that speaks `Conversation`. Ends with its parent. */
import { createHash, randomBytes } from "node:crypto"
import net, { type Socket } from "node:net"
import { chunkBytes, headerBytes, modes, sendAll } from "../load/Conversation.ts"

const chunk = Buffer.alloc(chunkBytes, 0x5a)
const filler = (bytes: number): Buffer => (bytes === chunkBytes ? chunk : chunk.subarray(0, bytes))

/** Answers with `answer()` once `length` bytes have come. */
const collect = (
  socket: Socket,
  rest: Buffer,
  length: number,
  take: (chunk: Buffer) => void,
  answer: () => Buffer,
): void => {
  let received = 0
  const onData = (data: Buffer): void => {
    received += data.length
    take(data)
    if (received >= length) socket.write(answer())
  }
  if (rest.length > 0) onData(rest)
  socket.on("data", onData)
}

const counted = (count: number): Buffer => {
  const reply = Buffer.alloc(8)
  reply.writeBigUInt64BE(BigInt(count))
  return reply
}

const sendVerified = async (socket: Socket, length: number): Promise<void> => {
  const hash = createHash("sha256")
  await sendAll(socket, length, (bytes) => {
    const part = randomBytes(bytes)
    hash.update(part)
    return part
  })
  socket.write(hash.digest())
}

const serve = (socket: Socket): void => {
  socket.on("error", () => socket.destroy())
  let head: Buffer = Buffer.alloc(0)
  const onHead = (data: Buffer): void => {
    head = head.length === 0 ? data : Buffer.concat([head, data])
    const mode = head[0]
    if (mode === modes.echo) {
      socket.off("data", onHead)
      socket.on("data", (again: Buffer) => socket.write(again))
      socket.write(head)
      return
    }
    if (head.length < headerBytes) return
    socket.off("data", onHead)
    const length = Number(head.readBigUInt64BE(1))
    const rest = head.subarray(headerBytes)
    if (mode === modes.up) {
      let count = 0
      const take = (part: Buffer): void => {
        count += part.length
      }
      collect(socket, rest, length, take, () => counted(count))
    } else if (mode === modes.hash) {
      const hash = createHash("sha256")
      collect(
        socket,
        rest,
        length,
        (part) => hash.update(part),
        () => hash.digest(),
      )
    } else if (mode === modes.verified) void sendVerified(socket, length)
    else if (mode === modes.down) void sendAll(socket, length, filler)
    else socket.destroy()
  }
  socket.on("data", onHead)
}

const server = net.createServer({ noDelay: true }, serve)
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port })
})
process.on("disconnect", () => process.exit(0))
