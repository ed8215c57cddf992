import { randomUUID } from "node:crypto"
import http2, { type ServerHttp2Session } from "node:http2"
import { type AddressInfo, type Server, Socket } from "node:net"
import { Duplex } from "node:stream"
import { TLSSocket } from "node:tls"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import type { LongCall } from "../Method.ts"
import { GrpcError, grpcError, toGrpcError } from "./GrpcError.ts"
import { Http1Side, type HttpHandlers, serveHttp2 } from "./HttpSide.ts"
import { type KeepaliveOptions, SilenceWatch } from "./Keepalive.ts"
import { MessageReader } from "./MessageReader.ts"
import { writeFrame } from "./MessageWriter.ts"
import { isGrpcContentType } from "./Metadata.ts"
import { Http2Connection, type OpenConnection } from "./OpenConnections.ts"
import { PortListener, type ServerTlsOptions } from "./PortListener.ts"
import { type ServerCall, ServerCallState, type ServerConnection } from "./ServerCall.ts"
import { sessionOptions, type WindowOptions } from "./SessionOptions.ts"
import { TunnelServer } from "./WebSocketTunnel.ts"

export type { OpenConnection, RunningCall } from "./OpenConnections.ts"
export type { ServerTlsOptions } from "./PortListener.ts"
export type { ServerCall, ServerConnection } from "./ServerCall.ts"

/** Rejections with a GrpcError become the call's status; anything else becomes INTERNAL and goes to `onError`. */
export type MethodHandler =
  | {
      readonly kind: "unary"
      readonly handle: (call: ServerCall, message: Buffer) => Promise<Uint8Array>
    }
  | {
      readonly kind: "streaming"
      readonly longCall?: LongCall | undefined
      readonly handle: (call: ServerCall, incoming: MessageReader) => Promise<void>
    }

export interface ErrorContext {
  readonly where: "handler" | "session" | "tls" | "listener"
  readonly path?: string
  readonly requestId?: string
  readonly connectionId?: string
  readonly remoteAddress?: string
}

export interface GrpcServerOptions extends HttpHandlers {
  /** The handler of `/package.Service/Method`; undefined answers UNIMPLEMENTED. */
  readonly router: (path: string) => MethodHandler | undefined
  readonly tls?: ServerTlsOptions
  /** Default: 1 MiB. */
  readonly maxMessageBytes?: number
  /** Default: 20 s and 10 s. */
  readonly keepalive?: KeepaliveOptions
  /** Default: 4 MiB and 16 MiB. */
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
  readonly server: Server
  /** Open HTTP/2 connections. */
  readonly sessions: number
  readonly connections: Iterable<OpenConnection>
}

/** gRPC over HTTP/2 and a fallback for everything else, on one port, in the clear or with TLS. */
export const createGrpcServer = (options: GrpcServerOptions): GrpcServer => {
  const windows = options.windows ?? defaultWindows
  const report = options.onError ?? (() => undefined)
  const sessions = new Map<ServerHttp2Session, Http2Connection>()
  const silence = new SilenceWatch(options.keepalive ?? defaultKeepalive)
  let closing = false

  const h2 = http2.createServer({
    ...extendedConnect(sessionOptions(windows)),
    streamResetBurst: limits.resetBurst,
    streamResetRate: limits.resetsPerSecond,
  })
  const tunnels = new TunnelServer()
  /** The connections that tunnels ride on. */
  const carriers = new WeakMap<Duplex, Duplex>()
  const h1 = new Http1Side(options, (request, socket, head) =>
    tunnels.accept(request, socket, head, (inside) => {
      carriers.set(inside, socket)
      h2.emit("connection", inside)
    }),
  )
  const listener = new PortListener({
    tls: options.tls,
    onConnection: (socket, protocol) => {
      if (protocol === "http2") h2.emit("connection", socket)
      else h1.accept(socket)
    },
    onError: (error, where, remoteAddress) => report(error, { where, ...known({ remoteAddress }) }),
  })

  h2.on("session", (session) => {
    const open = new Http2Connection(session)
    sessions.set(session, open)
    session.on("close", () => sessions.delete(session))
    session.setLocalWindowSize(windows.sessionBytes)
    silence.watch(session)
    if (closing) session.close()
    const connection = connectionOf(session, carriers)
    session.on("error", (error) => report(error, { where: "session", ...describe(connection) }))
    // node:http2 marks a session closed before it aborts the streams of a lost connection.
    const isLost = (): boolean => session.destroyed || (session.closed && !closing && !open.left)
    session.on("stream", (stream, headers, _flags, rawHeaders) => {
      if (isGrpcContentType(headers["content-type"]) && headers[":method"] === "POST") {
        const call = new ServerCallState(stream, headers, connection, isLost)
        const handler = options.router(call.path)
        call.unary = handler?.kind === "unary"
        open.begin(call)
        stream.once("close", () => open.end(call))
        serve(options, call, handler)
      } else {
        serveHttp2(options, open, stream, headers, rawHeaders)
      }
    })
  })

  const close = async (graceMs: number): Promise<void> => {
    closing = true
    const force = setTimeout(() => {
      for (const session of sessions.keys()) session.destroy()
      listener.destroyConnections()
    }, graceMs)
    const closed = listener.close()
    for (const session of sessions.keys()) session.close()
    h1.closeIdle()
    await closed
    clearTimeout(force)
    h1.close()
  }

  return {
    listen: (port, host) => listener.listen(port, host),
    close,
    attach: (socket) => listener.attach(socket),
    server: listener.server,
    get sessions() {
      return sessions.size
    },
    get connections() {
      return [...sessions.values(), ...h1.connections.values()]
    },
  }
}

/** WebSockets over HTTP/2 (RFC 8441). */
const extendedConnect = <O extends ReturnType<typeof sessionOptions>>(options: O) => ({
  ...options,
  settings: { ...options.settings, enableConnectProtocol: true },
})

const defaultKeepalive: KeepaliveOptions = {
  intervalMs: limits.keepaliveIntervalMs,
  timeoutMs: limits.keepaliveTimeoutMs,
}

const defaultWindows: WindowOptions = {
  streamBytes: limits.streamWindowBytes,
  sessionBytes: limits.sessionWindowBytes,
}

const serve = (
  options: GrpcServerOptions,
  call: ServerCallState,
  handler: MethodHandler | undefined,
): void => {
  if (handler === undefined) {
    call.finish(grpcError(Status.UNIMPLEMENTED, `unknown method ${call.path}`))
    return
  }
  run(call, handler, options.maxMessageBytes ?? limits.inboundMessageBytes).then(
    () => call.finish(),
    (cause: unknown) => {
      if (!(cause instanceof GrpcError)) {
        const { path, requestId } = call
        options.onError?.(cause, { where: "handler", path, requestId, ...describe(call.connection) })
      }
      call.finish(toGrpcError(cause))
    },
  )
}

const run = async (call: ServerCallState, handler: MethodHandler, maxMessageBytes: number): Promise<void> => {
  const incoming = new MessageReader(call.stream, maxMessageBytes, () => {
    const reason: unknown = call.signal.reason
    return reason instanceof GrpcError ? reason : grpcError(Status.CANCELLED, "the client cancelled the call")
  })
  try {
    if (handler.kind === "streaming") {
      call.longCall = handler.longCall
      await handler.handle(call, incoming)
    } else await answer(call, incoming, handler.handle)
  } finally {
    incoming.discard()
  }
}

const answer = async (
  call: ServerCallState,
  incoming: MessageReader,
  handle: (call: ServerCall, message: Buffer) => Promise<Uint8Array>,
): Promise<void> => {
  const message = await incoming.read()
  if (message === undefined) throw grpcError(Status.INTERNAL, "missing request message")
  const response = await handle(call, message)
  if (call.finished) return
  call.sendHeaders()
  writeFrame(call.stream, response)
}

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (/^(::ffff:)?127\./.test(address) || address === "::1")

/** node:http2 wraps what is no socket of the system in one that has it as `stream`. */
const carrierOf = (session: ServerHttp2Session, carriers: WeakMap<Duplex, Duplex>): Socket => {
  const inside: unknown = Reflect.get(session.socket, "stream")
  const carrier = inside instanceof Duplex ? carriers.get(inside) : undefined
  return carrier instanceof Socket ? carrier : session.socket
}

const connectionOf = (session: ServerHttp2Session, carriers: WeakMap<Duplex, Duplex>): ServerConnection => {
  const socket = carrierOf(session, carriers)
  const { remoteAddress, localPort } = socket
  return {
    id: randomUUID(),
    remoteAddress,
    loopback: isLoopback(remoteAddress),
    encrypted: session.encrypted === true || socket instanceof TLSSocket,
    localPort: localPort ?? 0,
    session,
  }
}

const known = ({ remoteAddress }: { readonly remoteAddress: string | undefined }) =>
  remoteAddress === undefined ? {} : { remoteAddress }

const describe = (connection: ServerConnection) => ({ connectionId: connection.id, ...known(connection) })
