/** Connections of a listener and what runs on them, for whoever wants them to end. */
import type { ServerHttp2Session } from "node:http2"
import { limits } from "../../domain/Limits.ts"
import type { LongCall } from "../Method.ts"
import type { ServerCallState } from "./ServerCall.ts"

/** A connection and its running calls, for whoever wants them to end. */
export interface OpenConnection {
  readonly calls: ReadonlySet<RunningCall>
  /**
   * Tells the client to make its further calls elsewhere; running ones finish, and the last closes the connection.
   * A call that crosses the word would be refused (RFC 9113, 6.8), so it is kept until a call arrives, because its
   * caller waits for the answer and hears this first, or until a running one has been the last for a while: then
   * ask again. True once the client was told.
   */
  readonly leave: () => boolean
}

/** A gRPC call, or an HTTP request: that has an empty path, so that it is never taken for a method. */
export type RunningCall = Pick<ServerCallState, "path" | "metadata" | "abandon"> & {
  readonly longCall?: LongCall | undefined
  /** It is answered: its caller may make the next one already, although the stream is not closed yet. */
  readonly finished?: boolean
}

export class Http2Connection implements OpenConnection {
  readonly calls = new Set<RunningCall>()
  readonly #session: ServerHttp2Session
  /** It was closed by us, not lost. */
  left = false
  #leaving = false
  #lastCallAtMs = 0

  constructor(session: ServerHttp2Session) {
    this.#session = session
  }

  leave(): boolean {
    this.#leaving = true
    const waiting = [...this.calls].some(({ finished }) => finished !== true)
    if (waiting && performance.now() - this.#lastCallAtMs >= limits.leaveQuietMs) this.#tell()
    return this.left
  }

  begin(call: RunningCall): void {
    this.calls.add(call)
    this.#lastCallAtMs = performance.now()
    if (this.#leaving) this.#tell()
  }

  #tell(): void {
    this.left = true
    if (!this.#session.closed) this.#session.close()
  }

  end(call: RunningCall): void {
    this.calls.delete(call)
  }
}

/** HTTP/1 has one word for it, `connection: close` on an answer: whoever is idle hears it with the next one. */
export class Http1Connection implements OpenConnection {
  readonly calls = new Set<RunningCall>()
  #leaving = false
  /** Says so on an answer that has not begun. */
  #tell: (() => void) | undefined

  leave(): boolean {
    this.#leaving = true
    this.#tell?.()
    return this.calls.size > 0
  }

  begin(call: RunningCall, tell?: () => void): void {
    this.calls.add(call)
    this.#tell = tell
    if (this.#leaving) tell?.()
  }

  end(call: RunningCall): void {
    this.calls.delete(call)
    this.#tell = undefined
  }
}
