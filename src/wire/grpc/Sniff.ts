import type { Socket } from "node:net"

export type Protocol = "http2" | "http1"

/** The HTTP/2 preface starts `PRI`; no HTTP/1 method does (RFC 9113, 3.4). */
const prefaceStart = Buffer.from("PRI")

const recognise = (head: Buffer): Protocol | undefined => {
  const known = Math.min(head.length, prefaceStart.length)
  if (!head.subarray(0, known).equals(prefaceStart.subarray(0, known))) return "http1"
  return known === prefaceStart.length ? "http2" : undefined
}

/**
 * Reads as few bytes as tell HTTP/2 with prior knowledge from HTTP/1.1, puts them back and reports.
 * A socket that stays silent is destroyed after the timeout; one that ends before is simply dropped.
 */
export const sniff = (socket: Socket, timeoutMs: number, onProtocol: (protocol: Protocol) => void): void => {
  let head: Buffer = Buffer.alloc(0)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const stop = (): void => {
    clearTimeout(timer)
    socket.off("readable", onReadable)
    socket.off("close", stop)
    socket.off("error", ignore)
  }
  const onReadable = (): void => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
    const protocol = recognise(head)
    if (protocol === undefined) return
    stop()
    socket.unshift(head)
    onProtocol(protocol)
  }
  socket.on("error", ignore)
  socket.on("close", stop)
  socket.on("readable", onReadable)
}

const ignore = (): void => undefined
