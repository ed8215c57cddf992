/** An application as people run it in sandboxes: HTTP and WebSocket on a port of loopback. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import { WebSocketServer } from "ws"

export interface Application {
  readonly port: number
  /** Connections open now. */
  readonly connections: () => number
  /** Connections so far. */
  readonly accepted: () => number
  readonly close: () => void
}

/** The byte at a place of the endless download. */
export const patternByte = (offset: number): number => (offset * 31 + (offset >> 8)) & 0xff

export const pattern = (from: number, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at++) bytes[at] = patternByte(from + at)
  return bytes
}

const blockBytes = 65_536

/** `bytes` of the pattern, not faster than they are taken; `paceMs` between blocks. */
const sendPattern = async (response: ServerResponse, bytes: number, paceMs: number): Promise<void> => {
  for (let sent = 0; sent < bytes && !response.destroyed; sent += blockBytes) {
    if (paceMs > 0) await pause(paceMs)
    const more = response.write(pattern(sent, Math.min(blockBytes, bytes - sent)))
    if (!more && !response.destroyed)
      await new Promise<void>((resolve) => {
        const settle = (): void => {
          response.off("drain", settle).off("close", settle)
          resolve()
        }
        response.once("drain", settle).once("close", settle)
      })
  }
  response.end()
}

const handle = (request: IncomingMessage, response: ServerResponse): void => {
  const url = new URL(request.url ?? "/", "http://application")
  const number = (name: string): number => Number(url.searchParams.get(name) ?? 0)
  switch (url.pathname) {
    case "/headers":
      response.setHeader("set-cookie", ["a=1", "b=2"])
      response.end(JSON.stringify(request.headersDistinct))
      return
    case "/echo":
      response.setHeader("x-method", request.method ?? "")
      if (request.headers["content-length"] !== undefined)
        response.setHeader("content-length", request.headers["content-length"])
      request.pipe(response)
      return
    case "/download":
      response.setHeader("content-type", "application/octet-stream")
      if (!url.searchParams.has("chunked")) response.setHeader("content-length", number("bytes"))
      void sendPattern(response, number("bytes"), number("pace"))
      return
    case "/trailers":
      if (request.method !== "HEAD") response.setHeader("trailer", "x-sum")
      response.write("body")
      response.addTrailers({ "x-sum": "42" })
      response.end()
      return
    case "/early":
      // An answer before the request has come; nothing of that is read.
      response.writeHead(413, { "content-length": "7", connection: "close" }).end("too big")
      return
    case "/abort":
      request.socket.destroy()
      return
    case "/half":
      response.writeHead(200, { "content-length": "100" }).write("half")
      setTimeout(() => request.socket.destroy(), 50)
      return
    case "/slow":
      void pause(number("ms")).then(() => response.end("slow"))
      return
    case "/status":
      response.writeHead(number("code"), "As Asked").end()
      return
    default:
      response.end(`${request.method} ${request.url}`)
  }
}

export const startApplication = async (): Promise<Application> => {
  const sockets = new Set<Socket>()
  let accepted = 0
  const server = createServer(handle)
  server.on("connection", (socket) => {
    accepted += 1
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  const webSockets = new WebSocketServer({ noServer: true, handleProtocols: (all) => [...all][0] ?? false })
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy())
    if (request.url !== "/ws") {
      socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
      return
    }
    webSockets.handleUpgrade(request, socket, head, (client) => {
      client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    connections: () => sockets.size,
    accepted: () => accepted,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
