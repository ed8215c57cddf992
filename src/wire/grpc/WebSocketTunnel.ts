/**
 * HTTP/2 inside one WebSocket, for networks that let nothing else through: all calls and streams of a connection,
 * with their own credentials, as on a connection that is HTTP/2 from its first byte. The WebSocket itself proves
 * nothing about who asks.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { WebSocket, WebSocketServer } from "ws"
import { limits } from "../../domain/Limits.ts"
import type { ClientTlsOptions } from "./GrpcClient.ts"
import { WebSocketDuplex } from "./WebSocketDuplex.ts"

export const tunnelPath = "/holdfast/v1/stream"

/** Named so that whatever stands between knows what it carries, and another version can be told from this one. */
const protocol = "holdfast.h2.v1"

/** Compressing what may be encrypted bytes costs time and tells secrets by their length. */
const plain = { perMessageDeflate: false, maxPayload: limits.tunnelMessageBytes } as const

const duplexOf = (socket: WebSocket): Duplex => {
  const duplex = new WebSocketDuplex(socket)
  duplex.on("error", () => undefined)
  return duplex
}

export class TunnelServer {
  readonly #webSockets = new WebSocketServer({
    ...plain,
    noServer: true,
    handleProtocols: (offered) => (offered.has(protocol) ? protocol : false),
  })

  /** Whether the request asks for a tunnel; then it is answered, and `opened` gets what is inside. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, opened: (inside: Duplex) => void): boolean {
    if (request.url?.split("?", 1)[0] !== tunnelPath) return false
    // Browsers always say where a page is from: none of them has a business here, and loopback needs no token.
    if (request.headers.origin !== undefined) {
      socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
      return true
    }
    this.#webSockets.handleUpgrade(request, socket, head, (client) => opened(duplexOf(client)))
    return true
  }
}

/** Opens a tunnel to `http://` or `https://host:port`; rejects with the reason. */
export const openTunnel = (url: URL, tls: ClientTlsOptions | undefined, timeoutMs: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const target = new URL(tunnelPath, url)
    target.protocol = url.protocol === "https:" ? "wss:" : "ws:"
    const { serverName, ...certificates } = tls ?? {}
    const socket = new WebSocket(target, [protocol], {
      ...plain,
      ...certificates,
      ...(serverName === undefined ? {} : { servername: serverName }),
      handshakeTimeout: timeoutMs,
      headers: { "user-agent": "holdfast" },
    })
    socket.once("error", reject)
    socket.once("open", () => {
      socket.off("error", reject)
      resolve(duplexOf(socket))
    })
  })
