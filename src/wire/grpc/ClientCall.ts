import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2"
import { Status } from "../../domain/Status.ts"
import { GrpcError, grpcError } from "./GrpcError.ts"
import { MessageReader } from "./MessageReader.ts"
import { writeMessage } from "./MessageWriter.ts"
import { clampTimerMs, statusFromHttp, statusFromTrailers } from "./Metadata.ts"

export interface ClientCallOptions {
  readonly maxMessageBytes: number
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * One call of a client. `reader` yields messages and then undefined; what the call came to is in `status`.
 * None of the promises needs to be awaited.
 */
export class ClientCall {
  readonly stream: ClientHttp2Stream
  readonly reader: MessageReader
  /** Resolves when response headers arrive; rejects with GrpcError when the call fails without them. */
  readonly headers: Promise<void>
  /** Settles once: undefined for OK. Never rejects. */
  readonly status: Promise<GrpcError | undefined>
  /** Initial metadata; empty until `headers` has settled. */
  metadata: IncomingHttpHeaders = {}
  readonly #session: ClientHttp2Session
  /**
   * Resets the stream. `stream.close(CANCEL)` would send END_STREAM before RST_STREAM, and the server could take
   * a cancelled upload for a finished one.
   */
  readonly #reset = new AbortController()
  readonly #signal: AbortSignal | undefined
  #resolveHeaders: () => void = noop
  #rejectHeaders: (error: GrpcError) => void = noop
  #resolveStatus: (error: GrpcError | undefined) => void = noop
  #outcome: { readonly error: GrpcError | undefined } | undefined
  #deadline: NodeJS.Timeout | undefined

  constructor(session: ClientHttp2Session, headers: OutgoingHttpHeaders, options: ClientCallOptions) {
    const stream = session.request(headers, { signal: this.#reset.signal })
    this.stream = stream
    this.#session = session
    this.#signal = options.signal
    this.headers = new Promise((resolve, reject) => {
      this.#resolveHeaders = resolve
      this.#rejectHeaders = reject
    })
    this.headers.catch(noop)
    this.status = new Promise((resolve) => {
      this.#resolveStatus = resolve
    })
    stream.on("error", noop)
    stream.on("response", this.#onResponse)
    stream.on("trailers", this.#onTrailers)
    stream.on("close", this.#onClose)
    this.reader = new MessageReader(stream, options.maxMessageBytes, () => this.#closedError())
    if (options.timeoutMs !== undefined) {
      this.#deadline = setTimeout(
        () => this.#abandon(grpcError(Status.DEADLINE_EXCEEDED, "deadline exceeded")),
        clampTimerMs(options.timeoutMs),
      )
    }
    if (options.signal?.aborted) this.#onAbort()
    else options.signal?.addEventListener("abort", this.#onAbort, { once: true })
  }

  /** Resolves when the stream accepts more; rejects with the call's status when it is over. */
  async write(message: Uint8Array): Promise<void> {
    try {
      await writeMessage(this.stream, message)
    } catch (cause) {
      if (this.stream.writableEnded && this.#outcome === undefined) throw cause
      throw (await this.status) ?? grpcError(Status.UNAVAILABLE, "the call is over")
    }
  }

  /** Half-close: no more messages from here. */
  end(): void {
    if (!this.stream.writableEnded) this.stream.end()
  }

  /** Resets the stream. Also frees a call that is over but has unread messages. */
  cancel(reason: GrpcError = grpcError(Status.CANCELLED, "the call was cancelled")): void {
    this.#abandon(reason)
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#signal?.reason
    this.#abandon(
      reason instanceof GrpcError ? reason : grpcError(Status.CANCELLED, "the call was cancelled"),
    )
  }

  readonly #onResponse = (headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void => {
    this.metadata = headers
    const httpStatus = headers[":status"] ?? 0
    const status = statusFromTrailers(headers)
    if (status !== "absent") this.#settle(status)
    else if (httpStatus !== 200) this.#abandon(statusFromHttp(httpStatus))
    else this.#resolveHeaders()
  }

  readonly #onTrailers = (headers: IncomingHttpHeaders): void => {
    const status = statusFromTrailers(headers)
    this.#settle(status === "absent" ? missingStatus() : status)
  }

  readonly #onClose = (): void => {
    this.#settle(this.#outcome === undefined ? this.#closedError() : this.#outcome.error)
  }

  #abandon(error: GrpcError): void {
    this.#settle(error)
    if (!this.stream.destroyed) this.#reset.abort()
  }

  #settle(error: GrpcError | undefined): void {
    if (this.#outcome !== undefined) return
    this.#outcome = { error }
    clearTimeout(this.#deadline)
    this.#signal?.removeEventListener("abort", this.#onAbort)
    if (error === undefined) this.#resolveHeaders()
    else this.#rejectHeaders(error)
    this.#resolveStatus(error)
  }

  /** What a stream that closed without a status means. */
  #closedError(): GrpcError {
    if (this.#outcome?.error !== undefined) return this.#outcome.error
    if (this.#session.destroyed) return grpcError(Status.UNAVAILABLE, "the connection to the server is lost")
    switch (this.stream.rstCode) {
      case http2.constants.NGHTTP2_NO_ERROR:
        return missingStatus()
      case http2.constants.NGHTTP2_CANCEL:
        return grpcError(Status.CANCELLED, "the server cancelled the call")
      case http2.constants.NGHTTP2_ENHANCE_YOUR_CALM:
        return grpcError(Status.RESOURCE_EXHAUSTED, "the server asked to slow down")
      case http2.constants.NGHTTP2_INADEQUATE_SECURITY:
        return grpcError(Status.PERMISSION_DENIED, "the server refused the connection's security")
      default:
        return grpcError(Status.UNAVAILABLE, `the stream was reset (HTTP/2 code ${this.stream.rstCode})`)
    }
  }
}

const noop = (): void => undefined

const missingStatus = (): GrpcError =>
  grpcError(Status.UNAVAILABLE, "the server ended the call without a status")
