import net, { type AddressInfo, type Socket } from "node:net"
import tls from "node:tls"
import { limits } from "../../domain/Limits.ts"
import { type Protocol, sniff } from "./Sniff.ts"

/** With `ca`, client certificates are required and verified unless `clientCertificate` is "optional". */
export interface ServerTlsOptions {
  readonly key: string | Buffer
  readonly cert: string | Buffer
  readonly ca?: string | Buffer
  readonly clientCertificate?: "required" | "optional"
}

export interface PortListenerOptions {
  readonly tls?: ServerTlsOptions | undefined
  readonly onConnection: (socket: Socket, protocol: Protocol) => void
  readonly onError: (error: unknown, where: "tls" | "listener", remoteAddress: string | undefined) => void
}

/** One port for HTTP/2 and HTTP/1.1: told apart by ALPN under TLS and by the first bytes in the clear. */
export class PortListener {
  readonly server: net.Server
  readonly #options: PortListenerOptions
  readonly #sockets = new Set<Socket>()
  readonly #emptied: Array<() => void> = []

  constructor(options: PortListenerOptions) {
    this.#options = options
    if (options.tls === undefined) {
      this.server = net.createServer((socket) => this.attach(socket))
    } else {
      this.server = createTlsServer(options.tls)
        .on("secureConnection", (socket: Socket) => this.attach(socket))
        .on("tlsClientError", (error: Error, socket: Socket) =>
          options.onError(error, "tls", socket.remoteAddress),
        )
    }
  }

  listen(port: number, host: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject)
      this.server.listen(port, host, () => {
        this.server.off("error", reject)
        this.server.on("error", (error) => this.#options.onError(error, "listener", undefined))
        const address = this.server.address()
        if (address !== null && typeof address === "object") resolve(address)
        else reject(new Error("the listener has no TCP address"))
      })
    })
  }

  /** Takes over a connection that was accepted here or elsewhere. */
  attach(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on("close", () => {
      this.#sockets.delete(socket)
      if (this.#sockets.size === 0) for (const resolve of this.#emptied.splice(0)) resolve()
    })
    // After an error node:http2 leaves a TLS socket open, and then it never closes.
    socket.on("error", () => socket.destroy())
    socket.setNoDelay(true)
    if (socket instanceof tls.TLSSocket) {
      this.#options.onConnection(socket, socket.alpnProtocol === "h2" ? "http2" : "http1")
    } else {
      sniff(socket, limits.sniffTimeoutMs, (protocol) => this.#options.onConnection(socket, protocol))
    }
  }

  /** Stops accepting; resolves when the last connection is gone, however long that takes. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#sockets.size === 0) resolve()
      else this.#emptied.push(resolve)
      this.server.close()
    })
  }

  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

const createTlsServer = (options: ServerTlsOptions): tls.Server =>
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
