import http2, { type ClientHttp2Session } from "node:http2"
import net, { type Socket } from "node:net"
import type { Duplex } from "node:stream"
import tls from "node:tls"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import { ClientCall } from "./ClientCall.ts"
import { GrpcError, grpcError } from "./GrpcError.ts"
import { answersPing, type KeepaliveOptions, startKeepalive } from "./Keepalive.ts"
import { writeFrame } from "./MessageWriter.ts"
import { formatTimeout } from "./Metadata.ts"
import { sessionOptions, type WindowOptions } from "./SessionOptions.ts"
import { ownUserAgent } from "./UserAgents.ts"

export { ClientCall } from "./ClientCall.ts"

export interface ClientTlsOptions {
  readonly ca?: string | Buffer
  readonly key?: string | Buffer
  readonly cert?: string | Buffer
  /** The name the server's certificate must carry, when it is not the URL's host. */
  readonly serverName?: string
}

export interface ConnectOptions {
  /** `http://host:port` for HTTP/2 with prior knowledge, `https://host:port` for TLS with ALPN. */
  readonly url: string
  /** A Unix socket to dial instead of the URL's host, which then only names the server. */
  readonly socketPath?: string
  /** From the first packet to the server's SETTINGS. */
  readonly connectTimeoutMs?: number
  readonly keepalive?: KeepaliveOptions
  readonly windows?: WindowOptions
  readonly maxMessageBytes?: number
  readonly tls?: ClientTlsOptions
  /** `websocket`: HTTP/2 inside a WebSocket, where a network passes nothing else. Default `http2`. */
  readonly transport?: "http2" | "websocket"
  /** Read for every call, so that a refreshed token is used at once. */
  readonly headers?: () => Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export interface CallOptions {
  readonly timeoutMs?: number | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
}

/** One HTTP/2 connection to a gRPC server. It does not reconnect: whoever owns it decides when and where. */
export class GrpcConnection {
  readonly closed: Promise<void>
  readonly #session: ClientHttp2Session
  readonly #options: ConnectOptions
  readonly #onLeaving = new Set<() => void>()
  #draining = false
  #probe: Promise<boolean> | undefined

  private constructor(session: ClientHttp2Session, options: ConnectOptions) {
    this.#session = session
    this.#options = options
    this.closed = new Promise((resolve) => session.once("close", resolve))
    session.on("goaway", () => {
      this.#draining = true
      const listeners = [...this.#onLeaving]
      this.#onLeaving.clear()
      for (const listener of listeners) listener()
    })
  }

  /** Resolves when the server has spoken HTTP/2; rejects with UNAVAILABLE, or CANCELLED through `signal`. */
  static async connect(options: ConnectOptions): Promise<GrpcConnection> {
    const url = new URL(options.url)
    const { socketPath } = options
    if (socketPath !== undefined) return GrpcConnection.#over(net.connect({ path: socketPath }), options)
    if (options.transport !== "websocket") return GrpcConnection.#over(dial(url, options.tls), options)
    const { openTunnel } = await import("./WebSocketTunnel.ts")
    const tunnel = await openTunnel(
      url,
      options.tls,
      options.connectTimeoutMs ?? limits.connectTimeoutMs,
    ).catch((cause: unknown) => {
      const text = cause instanceof Error ? cause.message : String(cause)
      throw grpcError(Status.UNAVAILABLE, `cannot connect to ${url.host}: ${text}`)
    })
    return GrpcConnection.#over(tunnel, options)
  }

  static #over(socket: Duplex, options: ConnectOptions): Promise<GrpcConnection> {
    return new Promise((resolve, reject) => {
      const url = new URL(options.url)
      if (options.signal?.aborted) {
        socket.destroy()
        reject(grpcError(Status.CANCELLED, "the connection attempt was cancelled"))
        return
      }
      const windows = options.windows ?? {
        streamBytes: limits.streamWindowBytes,
        sessionBytes: limits.sessionWindowBytes,
      }
      let lastError = "the server closed the connection"
      const noteError = (error: Error): void => {
        const reason = "reason" in error && typeof error.reason === "string" ? error.reason : error.message
        lastError = reason === "" ? error.name : reason
      }
      const place = options.socketPath ?? url.host
      socket.on("error", (error) => {
        noteError(error)
        // node:http2 destroys the session but leaves a TLS socket open, and then neither of them closes.
        socket.destroy()
      })
      const session = http2.connect(url, { ...sessionOptions(windows), createConnection: () => socket })
      session.on("error", noteError)
      const timeoutMs = options.connectTimeoutMs ?? limits.connectTimeoutMs
      const fail = (error: GrpcError): void => {
        stop()
        reject(error)
        session.destroy()
      }
      const stop = (): void => {
        clearTimeout(timer)
        options.signal?.removeEventListener("abort", onAbort)
        session.off("close", onClose)
        session.off("remoteSettings", onReady)
      }
      const onClose = (): void =>
        fail(grpcError(Status.UNAVAILABLE, `cannot connect to ${place}: ${lastError}`))
      const onAbort = (): void => fail(grpcError(Status.CANCELLED, "the connection attempt was cancelled"))
      const onReady = (): void => {
        stop()
        session.setLocalWindowSize(windows.sessionBytes)
        startKeepalive(
          session,
          options.keepalive ?? {
            intervalMs: limits.clientKeepaliveIntervalMs,
            timeoutMs: limits.clientKeepaliveTimeoutMs,
          },
        )
        resolve(new GrpcConnection(session, options))
      }
      const timer = setTimeout(
        () => fail(grpcError(Status.UNAVAILABLE, `cannot connect to ${place}: no answer in ${timeoutMs} ms`)),
        timeoutMs,
      )
      options.signal?.addEventListener("abort", onAbort, { once: true })
      session.once("close", onClose)
      session.once("remoteSettings", onReady)
    })
  }

  /** The server has announced that it takes no new calls here; running ones continue. */
  get draining(): boolean {
    return this.#draining || this.#session.closed || this.#session.destroyed
  }

  /** Calls `listener` once when the server announces that it will close; the answer unsubscribes. */
  onLeaving(listener: () => void): () => void {
    this.#onLeaving.add(listener)
    return () => this.#onLeaving.delete(listener)
  }

  /** Destroys a connection whose server does not answer a PING in time; users may ask at the same time. */
  probe(timeoutMs: number): Promise<boolean> {
    this.#probe ??= answersPing(this.#session, timeoutMs).then((answered) => {
      this.#probe = undefined
      if (!answered) this.destroy()
      return answered
    })
    return this.#probe
  }

  /** Lets running calls finish, then closes. */
  close(): void {
    if (!this.#session.closed) this.#session.close()
  }

  destroy(): void {
    this.#session.destroy()
  }

  open(path: string, options?: CallOptions): ClientCall {
    if (this.draining) throw grpcError(Status.UNAVAILABLE, "the connection to the server is closing")
    const timeoutMs = options?.timeoutMs
    try {
      const headers = {
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
        "user-agent": ownUserAgent,
        ...(timeoutMs === undefined ? {} : { "grpc-timeout": formatTimeout(timeoutMs) }),
        ...this.#options.headers?.(),
        ...options?.metadata,
      }
      return new ClientCall(this.#session, headers, {
        maxMessageBytes: this.#options.maxMessageBytes ?? limits.responseMessageBytes,
        timeoutMs,
        signal: options?.signal,
      })
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : "unknown error"
      throw grpcError(Status.UNAVAILABLE, `the connection to the server takes no call: ${text}`)
    }
  }

  /** One request, one response. Rejects with GrpcError. */
  async unary(path: string, message: Uint8Array, options?: CallOptions): Promise<Buffer> {
    const call = this.open(path, options)
    writeFrame(call.stream, message)
    call.end()
    let response: Buffer | undefined
    try {
      response = await call.reader.read()
      if (response !== undefined && (await call.reader.read()) !== undefined) {
        throw grpcError(Status.INTERNAL, "the server sent more than one response message")
      }
    } catch (cause) {
      call.cancel(cause instanceof GrpcError ? cause : grpcError(Status.INTERNAL, "unreadable response"))
    }
    const error = await call.status
    if (error !== undefined) throw error
    if (response === undefined) throw grpcError(Status.INTERNAL, "the server sent no response message")
    return response
  }
}

const dial = (url: URL, options: ClientTlsOptions | undefined): Socket => {
  const secure = url.protocol === "https:"
  const host = url.hostname.replace(/^\[|\]$/g, "")
  const port = Number(url.port === "" ? (secure ? 443 : 80) : url.port)
  const socket = secure
    ? tls.connect({
        host,
        port,
        ALPNProtocols: ["h2"],
        secureContext: secureContextOf(options),
        ...serverNameOf(host, options?.serverName),
      })
    : net.connect({ host, port })
  socket.setNoDelay(true)
  return socket
}

/** Reading certificates costs more than a handshake: once for all connections with the same options. */
const secureContexts = new WeakMap<ClientTlsOptions, tls.SecureContext>()
const systemTrust: ClientTlsOptions = {}

const secureContextOf = (options: ClientTlsOptions = systemTrust): tls.SecureContext => {
  const known = secureContexts.get(options)
  if (known !== undefined) return known
  const { ca, key, cert } = options
  const context = tls.createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca }),
    ...(key === undefined ? {} : { key }),
    ...(cert === undefined ? {} : { cert }),
  })
  secureContexts.set(options, context)
  return context
}

/** SNI carries names only; an address as the expected name is checked by node against the certificate. */
const serverNameOf = (host: string, serverName: string | undefined): { readonly servername?: string } => {
  const name = serverName ?? host
  return net.isIP(name) === 0 ? { servername: name } : {}
}
