/**
 * The way to the gateway: one connection, made when first needed and made again after it is lost, drained or
 * silent, through another address where several are named. Plain promises: `GatewayClient` gives it a scope,
 * `SshProxy` uses it as it is.
 */
import { isDatabaseAway } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Status } from "../domain/Status.ts"
import { GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { GrpcError } from "../wire/grpc/GrpcError.ts"
import { ConnectFailed } from "./ConnectFailed.ts"
import { callerHeaders, type Endpoint } from "./Endpoint.ts"

export interface CallRules {
  /** How often the call is asked; 1 for one that may not be asked twice. */
  readonly attempts: number
  readonly signal?: AbortSignal | undefined
  /** Whether an answer, too, is worth another attempt; bounds their number. */
  readonly again?: (cause: unknown, attempt: number, sinceMs: number) => boolean
}

export class Link {
  readonly endpoint: Endpoint
  readonly #urls: ReadonlyArray<string>
  /** Every connection that has not closed, those that were left included. */
  readonly #open = new Set<GrpcConnection>()
  #current: Promise<GrpcConnection> | undefined
  #live: GrpcConnection | undefined
  /** Counts the addresses tried. */
  #turn = 0
  #closed = false
  /** Undefined until a connection has shown what the network passes. */
  #transport: "http2" | "websocket" | undefined
  #silences = 0

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
    this.#urls = [endpoint.url, ...(endpoint.others ?? [])]
    this.#transport = endpoint.transport
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
        else this.#use(connection)
      },
      () => {
        if (this.#current === attempt) this.#current = undefined
      },
    )
    return attempt
  }

  /** Somebody found the connection silent: later calls take another, and it ends unless it answers a PING. */
  leave(connection: GrpcConnection): void {
    if (this.#live === connection) this.#forget()
    void connection.probe(limits.clientProbeMs).then(() => connection.close())
  }

  /**
   * Makes one call. Its connection is asked whether it lives while there is no answer. A call that was not sent
   * is made on another connection; one that was, while `attempts` last, when the connection was lost or the
   * replica at its other end is cut off from the database. Without extensions every call is made once.
   */
  async call<A>(ask: (connection: GrpcConnection) => Promise<A>, rules: CallRules): Promise<A> {
    const startedAtMs = performance.now()
    for (let attempt = 1; ; attempt++) {
      const connection = await this.connection()
      const probing = setInterval(
        () => void connection.probe(limits.clientProbeMs),
        limits.clientProbeAfterMs,
      )
      try {
        return await ask(connection)
      } catch (cause) {
        if (rules.signal?.aborted === true || this.#closed || this.endpoint.extensions === false) throw cause
        const unfit = cannotAct(cause)
        const most = neverSent(cause)
          ? limits.clientCallAttempts
          : Math.min(rules.attempts, unfit ? limits.clientAwayAttempts : rules.attempts)
        const lost = (neverSent(cause) || connectionLost(cause) || unfit) && attempt < most
        if (!lost && rules.again?.(cause, attempt, performance.now() - startedAtMs) !== true) throw cause
        if (unfit) this.leave(connection)
      } finally {
        clearInterval(probing)
      }
      await pause(limits.clientConnectPauseMs * (attempt - 1))
    }
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#open) connection.destroy()
    this.#forget()
  }

  #use(connection: GrpcConnection): void {
    this.#live = connection
    this.#open.add(connection)
    void connection.closed.then(() => this.#open.delete(connection))
  }

  /** The next connection goes to the next address. */
  #forget(): void {
    this.#current = undefined
    this.#live = undefined
    this.#turn += 1
  }

  /** By the transport that is known to work; HTTP/2 first while none is. Rejects with what HTTP/2 met. */
  async #dial(url: string): Promise<GrpcConnection> {
    const { tls } = this.endpoint
    const by = (transport: "http2" | "websocket"): Promise<GrpcConnection> =>
      GrpcConnection.connect({
        url,
        transport,
        connectTimeoutMs: limits.clientConnectTimeoutMs,
        ...(tls === undefined ? {} : { tls }),
        headers: () => callerHeaders(this.endpoint),
      })
    if (this.#transport !== undefined) return by(this.#transport)
    try {
      const connection = await by("http2")
      this.#transport = "http2"
      return connection
    } catch (cause) {
      // One silence is a frozen replica as a rule, which a WebSocket would find as silent.
      const silent = isSilence(cause)
      if (silent) this.#silences += 1
      if (this.#closed || nobodyThere(cause) || (silent && this.#silences === 1)) throw cause
      const connection = await by("websocket").catch(() => {
        throw cause
      })
      this.#transport = "websocket"
      return connection
    }
  }

  async #connect(): Promise<GrpcConnection> {
    for (let attempt = 1; ; attempt++) {
      const url = this.#urls[this.#turn % this.#urls.length] ?? this.endpoint.url
      try {
        return await this.#dial(url)
      } catch (cause) {
        const message =
          cause instanceof GrpcError ? cause.message.replace(/^cannot connect to \S+: /, "") : ""
        this.#turn += 1
        const another = attempt < this.#urls.length
        const worthIt = attempt < limits.clientConnectAttempts && worthRepeating(message)
        if (this.#closed || !(another || worthIt)) {
          throw new ConnectFailed({ url, message: message === "" ? String(cause) : message })
        }
        if (!another) await pause(limits.clientConnectPauseMs * attempt)
      }
    }
  }
}

const pause = (ms: number): Promise<void> =>
  ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms))

/**
 * A balancer in front of a replica that just died cuts connections, one that is frozen takes them and says
 * nothing; a refused or misspelt address stays so.
 */
const worthRepeating = (message: string): boolean =>
  /ECONNRESET|EPIPE|closed the connection|socket hang up|no answer in/.test(message)

/** What another protocol would meet as well. */
const nobodyThere = (cause: unknown): boolean =>
  cause instanceof GrpcError &&
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|certificate|Hostname\/IP/i.test(cause.message)

const isSilence = (cause: unknown): boolean =>
  cause instanceof GrpcError && /no answer in/.test(cause.message)

const connectionLost = (cause: unknown): boolean =>
  cause instanceof GrpcError && /^the connection to the server/.test(cause.message)

const cannotAct = (cause: unknown): boolean =>
  cause instanceof GrpcError && cause.code === Status.UNAVAILABLE && isDatabaseAway(cause.message)

/** The connection closed as the call was about to be made: the server has not begun with it (RFC 9113, 8.7). */
const neverSent = (cause: unknown): boolean =>
  cause instanceof GrpcError &&
  /^the connection to the server (is closing|takes no call)|HTTP\/2 code 7\)$/.test(cause.message)
