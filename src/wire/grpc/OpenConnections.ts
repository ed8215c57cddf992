/** Connections of a listener and what runs on them, for whoever wants them to end. */
import type { ServerHttp2Session } from "node:http2"
import { limits } from "../../domain/Limits.ts"
import type { LongCall } from "../Method.ts"
import type { ServerCallState } from "./ServerCall.ts"

/** A connection and its running calls, for whoever wants them to end. */
export interface OpenConnection {
  readonly calls: ReadonlySet<RunningCall>
  /** A call runs, or ended so lately that its caller may be about to make the next one here and would lose it. */
  readonly active: boolean
  /**
   * Tells the client to make its further calls elsewhere; running ones finish, and the last closes the connection.
   * The word is kept until no call is lost by it (docs/decisions/022): ask again until it is true, that is until
   * the client was told. `ends` names running calls that the asker ends as soon as that is so.
   */
  readonly leave: (ends?: (call: RunningCall) => boolean) => boolean
}

/** A gRPC call, or an HTTP request: that has an empty path, so that it is never taken for a method. */
export type RunningCall = Pick<ServerCallState, "path" | "metadata" | "abandon"> & {
  readonly longCall?: LongCall | undefined
  /** One request and one answer: its caller does nothing else meanwhile. */
  readonly unary?: boolean
  /** It is answered: its caller may make the next one already, although the stream is not closed yet. */
  readonly finished?: boolean
}

/**
 * Whether its client makes a call that meets GOAWAY again elsewhere, as ours, gRPC's own libraries and browsers do.
 * Rust's fail it, and also the first call after a GOAWAY that came while any stream was open (tonic 0.14).
 */
const repeats = ({ path, metadata }: RunningCall): boolean =>
  path === "" || /^(holdfast|grpc-)/.test(metadata["user-agent"] ?? "")

const waits = ({ finished }: RunningCall): boolean => finished !== true

/** Makes no array: it is asked at every call. */
const anyWaits = (calls: Iterable<RunningCall>): boolean => {
  for (const call of calls) if (waits(call)) return true
  return false
}

const endsNothing = (): boolean => false

export class Http2Connection implements OpenConnection {
  readonly calls = new Set<RunningCall>()
  readonly #session: ServerHttp2Session
  /** It was closed by us, not lost. */
  left = false
  #leavingAtMs: number | undefined
  /** When a call began or ended. */
  #changedAtMs = Number.NEGATIVE_INFINITY
  /** When a call ended whose client makes none again. */
  #strictAtMs = Number.NEGATIVE_INFINITY
  /** When a call began while another one waited. */
  #overlapAtMs = Number.NEGATIVE_INFINITY

  constructor(session: ServerHttp2Session) {
    this.#session = session
  }

  get active(): boolean {
    return this.calls.size > 0 || (!this.left && performance.now() - this.#strictAtMs < limits.leaveQuietMs)
  }

  leave(ends: (call: RunningCall) => boolean = endsNothing): boolean {
    const nowMs = performance.now()
    this.#leavingAtMs ??= nowMs
    const waiting = [...this.calls].filter(waits)
    const staying = waiting.filter((call) => !ends(call))
    const harmless = waiting.every(repeats) || staying.length === 0 || isOneUnary(staying)
    if (waiting.length > 0 && harmless && nowMs - this.#changedAtMs >= limits.leaveQuietMs) this.#tell()
    return this.left
  }

  begin(call: RunningCall): void {
    const nowMs = performance.now()
    if (anyWaits(this.calls)) this.#overlapAtMs = nowMs
    this.calls.add(call)
    this.#changedAtMs = nowMs
    if (this.#leavingAtMs === undefined) return
    const alone = nowMs - this.#overlapAtMs >= limits.leaveQuietMs
    const late = nowMs - this.#leavingAtMs >= limits.leaveAnywayMs
    // Its caller waits for the answer and hears this first.
    if (repeats(call) || (call.unary === true && (alone || late))) this.#tell()
  }

  #tell(): void {
    this.left = true
    if (!this.#session.closed) this.#session.close()
  }

  end(call: RunningCall): void {
    this.calls.delete(call)
    this.#changedAtMs = performance.now()
    if (!repeats(call)) this.#strictAtMs = this.#changedAtMs
  }
}

const isOneUnary = (calls: ReadonlyArray<RunningCall>): boolean =>
  calls.length === 1 && calls[0]?.unary === true

/** HTTP/1 has one word for it, `connection: close` on an answer: whoever is idle hears it with the next one. */
export class Http1Connection implements OpenConnection {
  readonly calls = new Set<RunningCall>()
  #leaving = false
  /** Says so on an answer that has not begun. */
  #tell: (() => void) | undefined

  get active(): boolean {
    return this.calls.size > 0
  }

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
