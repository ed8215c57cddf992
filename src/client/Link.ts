/**
 * One connection to the gateway, made when first needed and made again after it is lost or drained. Plain
 * promises: `GatewayClient` gives it a scope, `SshProxy` uses it as it is.
 */
import { limits } from "../domain/Limits.ts"
import { GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import { ConnectFailed } from "./ConnectFailed.ts"
import { authorizationHeaders, type Endpoint } from "./Endpoint.ts"

export class Link {
  readonly endpoint: Endpoint
  #current: Promise<GrpcConnection> | undefined
  #live: GrpcConnection | undefined
  #closed = false

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  /** The connection for the next call. Rejects with ConnectFailed. */
  connection(): Promise<GrpcConnection> {
    if (this.#live?.draining === true) {
      // Running calls may finish on it; it closes by itself after the last.
      this.#live.close()
      this.#forget()
    }
    if (this.#current !== undefined) return this.#current
    const attempt = this.#connect()
    this.#current = attempt
    attempt.then(
      (connection) => {
        if (this.#closed) connection.destroy()
        else this.#live = connection
      },
      () => {
        if (this.#current === attempt) this.#forget()
      },
    )
    return attempt
  }

  close(): void {
    this.#closed = true
    this.#live?.destroy()
    this.#forget()
  }

  #forget(): void {
    this.#current = undefined
    this.#live = undefined
  }

  async #connect(): Promise<GrpcConnection> {
    const { url, tls } = this.endpoint
    for (let attempt = 1; ; attempt++) {
      try {
        return await GrpcConnection.connect({
          url,
          ...(tls === undefined ? {} : { tls }),
          headers: () => authorizationHeaders(this.endpoint),
        })
      } catch (cause) {
        const message =
          cause instanceof GrpcError ? cause.message.replace(/^cannot connect to \S+: /, "") : ""
        if (attempt >= limits.clientConnectAttempts || !worthRepeating(message) || this.#closed) {
          throw new ConnectFailed({ url, message: message === "" ? String(cause) : message })
        }
        await new Promise((resolve) => setTimeout(resolve, limits.clientConnectPauseMs * attempt))
      }
    }
  }
}

/** A balancer in front of a replica that just died cuts connections; a refused or misspelt address stays so. */
const worthRepeating = (message: string): boolean =>
  /ECONNRESET|EPIPE|closed the connection|socket hang up/.test(message)
