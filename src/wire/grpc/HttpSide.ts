/** What arrives on a gRPC port and is not gRPC: requests of HTTP/1.1 and HTTP/2, and what they turn into. */
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http"
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { limits } from "../../domain/Limits.ts"
import { Http1Connection, type Http2Connection, type RunningCall } from "./OpenConnections.ts"

export interface HttpHandlers {
  /** Answers HTTP/1.1 on the same port; 404 without it. With `expect: 100-continue` it says when to go on. */
  readonly fallback?: RequestListener
  /** Answers HTTP/2 requests that are not gRPC; 404 without it. */
  readonly fallbackHttp2?: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
  /** Takes over a connection that is to speak something else, WebSocket as a rule; 404 where it does not. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
  /** The same for one stream of HTTP/2 (RFC 8441); 404 without it. */
  readonly onConnect?: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void
}

const notFound: RequestListener = (_request, response) => {
  response.writeHead(404, { "content-type": "text/plain" }).end("not found\n")
}

const refuseUpgrade = (socket: Duplex): void => {
  socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

/** HTTP/1.1 with what is open on it. */
export class Http1Side {
  readonly connections = new Map<Duplex, Http1Connection>()
  readonly #server: http.Server

  /** `tunnel` takes connections that turn into others of this port; those are counted there. */
  constructor({ fallback = notFound, onUpgrade }: HttpHandlers, tunnel: HttpHandlers["onUpgrade"]) {
    this.#server = http.createServer({
      maxHeaderSize: limits.httpHeaderBytes,
      keepAliveTimeout: limits.httpKeepAliveMs,
      // An upload may take any time; what says nothing is ended by whoever handles it.
      requestTimeout: 0,
      // Old clients offer to go on with HTTP/2 that way; they are answered as they asked.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() !== "h2c",
    })
    const handle = (request: IncomingMessage, response: ServerResponse<IncomingMessage>): void => {
      this.#track(request, response)
      fallback(request, response as Parameters<RequestListener>[1])
    }
    this.#server.on("request", handle)
    this.#server.on("checkContinue", handle)
    this.#server.on("upgrade", (request, socket, head) => {
      socket.on("error", () => socket.destroy())
      const taken = onUpgrade?.(request, socket, head) === true
      if (!taken && tunnel?.(request, socket, head) === true) return
      const call = abandonable(request.headers, () => socket.destroy())
      const connection = this.connections.get(socket)
      connection?.begin(call)
      socket.once("close", () => connection?.end(call))
      if (!taken) refuseUpgrade(socket)
    })
    // Starts node's own header timeout, which otherwise begins with listen().
    this.#server.emit("listening")
  }

  accept(socket: Socket): void {
    this.connections.set(socket, new Http1Connection())
    socket.once("close", () => this.connections.delete(socket))
    this.#server.emit("connection", socket)
  }

  #track(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.connections.get(request.socket)
    const call = abandonable(request.headers, () => response.destroy())
    connection?.begin(call, () => {
      if (!response.headersSent) response.setHeader("connection", "close")
    })
    response.once("close", () => connection?.end(call))
  }

  closeIdle(): void {
    this.#server.closeIdleConnections()
  }

  close(): void {
    this.#server.close()
  }
}

const abandonable = (metadata: IncomingHttpHeaders, abandon: () => void): RunningCall => ({
  path: "",
  metadata,
  abandon,
})

/** A stream of HTTP/2 that is no call. */
export const serveHttp2 = (
  { fallbackHttp2, onConnect }: HttpHandlers,
  connection: Http2Connection,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: ReadonlyArray<string>,
): void => {
  stream.on("error", () => undefined)
  const isConnect = headers[":method"] === "CONNECT"
  if (
    isConnect ? onConnect === undefined || headers[":protocol"] === undefined : fallbackHttp2 === undefined
  ) {
    stream.respond({ ":status": 404 }, { endStream: true })
    stream.resume()
    return
  }
  const call = abandonable(headers, () => stream.close(http2.constants.NGHTTP2_CANCEL))
  connection.begin(call)
  stream.once("close", () => connection.end(call))
  if (isConnect) onConnect?.(stream, headers)
  else {
    const request = new http2.Http2ServerRequest(stream, headers, {}, rawHeaders)
    fallbackHttp2?.(request, new http2.Http2ServerResponse(stream))
  }
}
