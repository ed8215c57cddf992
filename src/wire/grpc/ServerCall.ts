import http2, { type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import type { LongCall } from "../Method.ts"
import { type GrpcError, grpcError } from "./GrpcError.ts"
import { clampTimerMs, parseTimeoutMs, requestIdOf, statusTrailers } from "./Metadata.ts"

/** The HTTP/2 connection a call arrived on; calls with the same `id` share it. */
export interface ServerConnection {
  readonly id: string
  readonly remoteAddress: string | undefined
  readonly loopback: boolean
  readonly encrypted: boolean
  readonly localPort: number
  readonly session: ServerHttp2Session
}

/**
 * One call as a handler sees it. Bytes may be written to `stream` directly after `sendHeaders`; whoever does
 * so must not answer through it otherwise and leaves ending it to `finish` (a pipe that ends it is fine too).
 */
export interface ServerCall {
  /** `/package.Service/Method` */
  readonly path: string
  readonly metadata: IncomingHttpHeaders
  readonly stream: ServerHttp2Stream
  readonly connection: ServerConnection
  /** Aborts, with a GrpcError as reason, when the client cancels, the deadline passes or the connection is lost. */
  readonly signal: AbortSignal
  /** What `grpc-timeout` left at arrival; undefined without one. */
  readonly deadlineMs: number | undefined
  /** The accepted or generated `x-request-id`; the response carries it. */
  readonly requestId: string
  /** It has failed, and its status is on the way: a reset now would take the status' place. */
  readonly failing: boolean
  /** Response headers now, with `metadata`, before the first message. Idempotent: the first call decides. */
  sendHeaders(metadata?: Readonly<Record<string, string>>): void
  /**
   * Half-close: ends the response with status OK while the request goes on. Byte streams end one direction
   * at a time. Idempotent; the call's outcome is then decided.
   */
  endResponse(): void
  /** Status and trailers; trailers-only for an error before headers. Idempotent: the first outcome stands. */
  finish(error?: GrpcError): void
}

const responseHeaders = (requestId: string) => ({
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": "identity",
  "x-request-id": requestId,
})

/** The call's state machine on top of a server stream. */
export class ServerCallState implements ServerCall {
  readonly path: string
  readonly metadata: IncomingHttpHeaders
  readonly stream: ServerHttp2Stream
  readonly connection: ServerConnection
  readonly deadlineMs: number | undefined
  readonly requestId: string
  /** Of the method, once it is known. */
  longCall: LongCall | undefined
  unary = false
  readonly #abort = new AbortController()
  #deadline: NodeJS.Timeout | undefined
  #flush: NodeJS.Timeout | undefined
  #headersSent = false
  #finished = false
  #failing = false
  #wantsTrailers = false
  #keepRequest = false
  #trailers: Record<string, string> | undefined

  readonly #connectionLost: () => boolean

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: ServerConnection,
    connectionLost: () => boolean,
  ) {
    this.#connectionLost = connectionLost
    this.path = headers[":path"] ?? ""
    this.metadata = headers
    this.stream = stream
    this.connection = connection
    this.requestId = requestIdOf(headers)
    this.deadlineMs = parseTimeoutMs(headers["grpc-timeout"])
    stream.on("error", ignore)
    stream.on("aborted", this.#onGone)
    stream.on("close", this.#onGone)
    stream.on("wantTrailers", this.#onWantTrailers)
    if (this.deadlineMs !== undefined) {
      this.#deadline = setTimeout(this.#onDeadline, clampTimerMs(this.deadlineMs))
    }
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get finished(): boolean {
    return this.#finished
  }

  get failing(): boolean {
    return this.#failing
  }

  sendHeaders(metadata: Readonly<Record<string, string>> = {}): void {
    if (this.#headersSent || this.#gone) return
    this.#headersSent = true
    this.stream.respond({ ...metadata, ...responseHeaders(this.requestId) }, { waitForTrailers: true })
  }

  endResponse(): void {
    this.#keepRequest = true
    this.finish()
  }

  finish(error?: GrpcError): void {
    if (this.#finished) return
    this.#finished = true
    // After a half-close the request goes on, and so does the deadline.
    if (!this.#keepRequest) clearTimeout(this.#deadline)
    if (this.#gone) return
    this.#failing = error !== undefined
    const trailers = statusTrailers(error)
    if (error !== undefined && !this.#headersSent) {
      this.#headersSent = true
      this.stream.respond({ ...responseHeaders(this.requestId), ...trailers }, { endStream: true })
      this.#closeRequest()
      return
    }
    this.sendHeaders()
    this.#trailers = trailers
    if (this.#wantsTrailers) this.#sendTrailers()
    else this.stream.end()
    this.#boundFlush(error)
  }

  get #gone(): boolean {
    return this.stream.destroyed || this.stream.closed
  }

  /** Ends a running call from outside its handler, which is aborted with the same error. */
  abandon(error: GrpcError): void {
    if (this.#finished) return
    this.#abort.abort(error)
    this.finish(error)
  }

  readonly #onDeadline = (): void => {
    if (!this.#finished) this.abandon(grpcError(Status.DEADLINE_EXCEEDED, "deadline exceeded"))
    else if (!this.#gone) this.stream.close(http2.constants.NGHTTP2_CANCEL)
  }

  readonly #onGone = (): void => {
    clearTimeout(this.#deadline)
    clearTimeout(this.#flush)
    if (this.#finished || this.#abort.signal.aborted) return
    this.#abort.abort(
      this.#connectionLost()
        ? grpcError(Status.UNAVAILABLE, "the client's connection is lost")
        : grpcError(Status.CANCELLED, "the client cancelled the call"),
    )
  }

  readonly #onWantTrailers = (): void => {
    this.#wantsTrailers = true
    if (this.#trailers !== undefined) this.#sendTrailers()
  }

  #sendTrailers(): void {
    if (this.#gone) return
    this.stream.sendTrailers(this.#trailers ?? {})
    if (!this.#keepRequest) this.#closeRequest()
  }

  /** The answer is complete, so a request that still flows is told to stop and its bytes are dropped. */
  #closeRequest(): void {
    this.stream.resume()
    setImmediate(() => {
      if (!this.#gone && !this.stream.readableEnded) this.stream.close(http2.constants.NGHTTP2_NO_ERROR)
    })
  }

  /** Messages that the client does not read must not keep the call for ever, an error still less. */
  #boundFlush(error: GrpcError | undefined): void {
    const timeoutMs = error === undefined ? limits.answerFlushMs : limits.errorFlushMs
    this.#flush = setTimeout(() => {
      // With the last message the status went out; the request may go on.
      if (error === undefined && this.#wantsTrailers) return
      this.stream.close(http2.constants.NGHTTP2_CANCEL)
    }, timeoutMs)
    this.#flush.unref()
  }
}

const ignore = (): void => undefined
