import { randomUUID } from "node:crypto"
import http, { type RequestListener } from "node:http"
import http2, {
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2"
import net, { type AddressInfo, type Socket } from "node:net"
import tls from "node:tls"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import { GrpcError, grpcError, toGrpcError } from "./GrpcError.ts"
import { type KeepaliveOptions, startKeepalive } from "./Keepalive.ts"
import { MessageReader } from "./MessageReader.ts"
import { writeFrame } from "./MessageWriter.ts"
import { isGrpcContentType } from "./Metadata.ts"
import { type ServerCall, ServerCallState, type ServerConnection } from "./ServerCall.ts"
import { sessionOptions, type WindowOptions } from "./SessionOptions.ts"
import { sniff } from "./Sniff.ts"

export type { ServerCall, ServerConnection } from "./ServerCall.ts"

/** Rejections with a GrpcError become the call's status; anything else becomes INTERNAL and goes to `onError`. */
export type MethodHandler =
  | {
      readonly kind: "unary"
      readonly handle: (call: ServerCall, message: Buffer) => Promise<Uint8Array>
    }
  | {
      readonly kind: "streaming"
      readonly handle: (call: ServerCall, incoming: MessageReader) => Promise<void>
    }

export interface ErrorContext {
  readonly where: "handler" | "session" | "tls" | "listener"
  readonly path?: string
  readonly requestId?: string
  readonly connectionId?: string
  readonly remoteAddress?: string
}

export interface GrpcServerOptions {
  /** The handler of `/package.Service/Method`; undefined answers UNIMPLEMENTED. */
  readonly router: (path: string) => MethodHandler | undefined
  /** With `ca`, client certificates are required and verified unless `clientCertificate` is "optional". */
  readonly tls?: {
    readonly key: string | Buffer
    readonly cert: string | Buffer
    readonly ca?: string | Buffer
    readonly clientCertificate?: "required" | "optional"
  }
  /** Answers HTTP/1.1 on the same port; 404 without it. */
  readonly fallback?: RequestListener
  /** Answers HTTP/2 requests that are not gRPC; 404 without it. */
  readonly fallbackHttp2?: (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void
  readonly maxMessageBytes?: number
  readonly keepalive?: KeepaliveOptions
  readonly windows?: WindowOptions
  readonly onError?: (error: unknown, context: ErrorContext) => void
}

export interface GrpcServer {
  /** Port 0 takes a free one. */
  readonly listen: (port: number, host: string) => Promise<AddressInfo>
  /** Stops accepting, lets calls finish for `graceMs`, then destroys every connection. */
  readonly close: (graceMs: number) => Promise<void>
  /** Serves a connection that was accepted elsewhere. */
  readonly attach: (socket: Socket) => void
  readonly server: net.Server
  /** Open HTTP/2 connections. */
  readonly sessions: number
}

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (/^(::ffff:)?127\./.test(address) || address === "::1")

const notFound: RequestListener = (_request, response) => {
  response.writeHead(404, { "content-type": "text/plain" }).end("not found\n")
}

/** gRPC over HTTP/2 and a fallback for everything else, on one port, in the clear or with TLS. */
export const createGrpcServer = (options: GrpcServerOptions): GrpcServer => {
  const maxMessageBytes = options.maxMessageBytes ?? limits.inboundMessageBytes
  const keepalive = options.keepalive ?? {
    intervalMs: limits.keepaliveIntervalMs,
    timeoutMs: limits.keepaliveTimeoutMs,
  }
  const windows = options.windows ?? {
    streamBytes: limits.streamWindowBytes,
    sessionBytes: limits.sessionWindowBytes,
  }
  const report = options.onError ?? (() => undefined)
  const connections = new Map<ServerHttp2Session, ServerConnection>()
  const sockets = new Set<Socket>()

  const h2Options: ServerOptions = {
    ...sessionOptions(windows),
    streamResetBurst: limits.resetBurst,
    streamResetRate: limits.resetsPerSecond,
  }
  const h2 = http2.createServer(h2Options)
  const h1 = http.createServer(options.fallback ?? notFound)
  // Starts node's own header and request timeouts, which otherwise begin with listen().
  h1.emit("listening")

  let closing = false
  // node:http2 marks a session closed before it aborts the streams of a lost connection.
  const isLost = (session: ServerHttp2Session): boolean => session.destroyed || (session.closed && !closing)

  h2.on("session", (session) => {
    session.setLocalWindowSize(windows.sessionBytes)
    const socket = session.socket
    const connection: ServerConnection = {
      id: randomUUID(),
      remoteAddress: socket.remoteAddress,
      loopback: isLoopback(socket.remoteAddress),
      encrypted: session.encrypted === true,
      localPort: socket.localPort ?? 0,
      session,
    }
    connections.set(session, connection)
    session.on("close", () => connections.delete(session))
    session.on("error", (error) => report(error, { where: "session", ...describe(connection) }))
    session.on("stream", (stream, headers, _flags, rawHeaders) => {
      if (isGrpcContentType(headers["content-type"]) && headers[":method"] === "POST") {
        serve(new ServerCallState(stream, headers, connection, () => isLost(session)))
      } else {
        serveHttp(stream, headers, rawHeaders)
      }
    })
    startKeepalive(session, keepalive)
  })

  const serveHttp = (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: ReadonlyArray<string>,
  ): void => {
    stream.on("error", () => undefined)
    if (options.fallbackHttp2 === undefined) {
      stream.respond({ ":status": 404 }, { endStream: true })
      stream.resume()
      return
    }
    const request = new http2.Http2ServerRequest(stream, headers, {}, rawHeaders)
    options.fallbackHttp2(request, new http2.Http2ServerResponse(stream))
  }

  const serve = (call: ServerCallState): void => {
    const handler = options.router(call.path)
    if (handler === undefined) {
      call.finish(grpcError(Status.UNIMPLEMENTED, `unknown method ${call.path}`))
      return
    }
    run(call, handler).then(
      () => call.finish(),
      (cause: unknown) => {
        if (!(cause instanceof GrpcError)) {
          report(cause, {
            where: "handler",
            path: call.path,
            requestId: call.requestId,
            ...describe(call.connection),
          })
        }
        call.finish(toGrpcError(cause))
      },
    )
  }

  const run = async (call: ServerCallState, handler: MethodHandler): Promise<void> => {
    const incoming = new MessageReader(
      call.stream,
      maxMessageBytes,
      () => abortReason(call.signal) ?? grpcError(Status.CANCELLED, "the client cancelled the call"),
    )
    if (handler.kind === "streaming") return handler.handle(call, incoming)
    const message = await incoming.read()
    if (message === undefined) throw grpcError(Status.INTERNAL, "missing request message")
    const response = await handler.handle(call, message)
    if (call.finished) return
    call.sendHeaders()
    writeFrame(call.stream, response)
  }

  const attach = (socket: Socket): void => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => socket.destroy())
    socket.setNoDelay(true)
    if (socket instanceof tls.TLSSocket) {
      ;(socket.alpnProtocol === "h2" ? h2 : h1).emit("connection", socket)
    } else {
      sniff(socket, limits.sniffTimeoutMs, (protocol) => {
        ;(protocol === "http2" ? h2 : h1).emit("connection", socket)
      })
    }
  }

  const server = options.tls === undefined ? net.createServer(attach) : createTlsServer(options.tls)
  if (server instanceof tls.Server) {
    server.on("secureConnection", attach)
    server.on("tlsClientError", (error, socket) => {
      report(error, {
        where: "tls",
        ...(socket.remoteAddress === undefined ? {} : { remoteAddress: socket.remoteAddress }),
      })
    })
  }

  const listen = (port: number, host: string): Promise<AddressInfo> =>
    new Promise((resolve, reject) => {
      server.once("error", reject)
      server.listen(port, host, () => {
        server.off("error", reject)
        server.on("error", (error) => report(error, { where: "listener" }))
        const address = server.address()
        if (address !== null && typeof address === "object") resolve(address)
        else reject(new Error("the listener has no TCP address"))
      })
    })

  const close = (graceMs: number): Promise<void> =>
    new Promise((resolve) => {
      closing = true
      const force = setTimeout(() => {
        for (const session of connections.keys()) session.destroy()
        for (const socket of sockets) socket.destroy()
      }, graceMs)
      const check = (): void => {
        if (sockets.size > 0 || server.listening) return
        clearTimeout(force)
        h1.close()
        resolve()
      }
      server.close(check)
      for (const session of connections.keys()) session.close()
      h1.closeIdleConnections()
      for (const socket of sockets) socket.once("close", check)
      check()
    })

  return {
    listen,
    close,
    attach,
    server,
    get sessions() {
      return connections.size
    },
  }
}

const describe = (connection: ServerConnection) => ({
  connectionId: connection.id,
  ...(connection.remoteAddress === undefined ? {} : { remoteAddress: connection.remoteAddress }),
})

const abortReason = (signal: AbortSignal): GrpcError | undefined =>
  signal.reason instanceof GrpcError ? signal.reason : undefined

const createTlsServer = (options: NonNullable<GrpcServerOptions["tls"]>): tls.Server =>
  tls.createServer({
    key: options.key,
    cert: options.cert,
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
    ...(options.ca === undefined
      ? {}
      : {
          ca: options.ca,
          requestCert: true,
          rejectUnauthorized: options.clientCertificate !== "optional",
        }),
  })
