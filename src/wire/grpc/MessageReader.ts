import type { Readable } from "node:stream"
import { limits } from "../../domain/Limits.ts"
import { Status } from "../../domain/Status.ts"
import { FrameDecoder } from "./Framing.ts"
import { GrpcError, grpcError } from "./GrpcError.ts"

interface Waiter {
  readonly resolve: (message: Buffer | undefined) => void
  readonly reject: (error: GrpcError) => void
}

/**
 * Messages of one direction of a call, pulled one by one. It reads ahead at most `readAheadBytes` beyond a
 * whole message and then pauses the stream, so that HTTP/2 flow control holds the sender.
 * A stream that closes before its end (reset, lost connection) fails the read: it never looks like an end.
 */
export class MessageReader {
  readonly #stream: Readable
  readonly #decoder: FrameDecoder
  readonly #closedError: () => GrpcError
  #waiter: Waiter | undefined
  #failure: GrpcError | undefined
  #ended = false
  #attached = true

  constructor(stream: Readable, maxMessageBytes: number, closedError: () => GrpcError = closedEarly) {
    this.#stream = stream
    this.#decoder = new FrameDecoder(maxMessageBytes)
    this.#closedError = closedError
    stream.on("data", this.#onData)
    stream.on("end", this.#onEnd)
    stream.on("close", this.#onClose)
    if (stream.destroyed) this.#onClose()
  }

  /** Whether the other side has ended its direction and all of it has arrived here. */
  get ended(): boolean {
    return this.#ended
  }

  /** The next message, or undefined after the last; one read at a time. Rejects with GrpcError. */
  read(): Promise<Buffer | undefined> {
    if (this.#waiter !== undefined || !this.#attached) {
      return Promise.reject(grpcError(Status.INTERNAL, "overlapping reads of one stream"))
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject }
      this.#settle()
      if (this.#waiter !== undefined && this.#stream.isPaused()) this.#stream.resume()
    })
  }

  /**
   * Stops parsing. Returns the bytes received and not consumed, which precede whatever the stream yields next;
   * the stream is paused and has no listener of this reader. Check `ended` before waiting for more.
   */
  release(): Buffer {
    this.#detach()
    this.#waiter?.reject(grpcError(Status.INTERNAL, "the reader was released during a read"))
    this.#waiter = undefined
    this.#stream.pause()
    return this.#decoder.leftover()
  }

  /**
   * Nobody will read on: drops what waits and whatever still comes. node:http2 keeps a stream, and all that it
   * holds, until its bytes are consumed, also after both sides have ended or reset it in order. No effect after
   * `release`.
   */
  discard(): void {
    if (!this.#attached) return
    this.#stream.off("data", this.#onData)
    this.#decoder.clear()
    this.#stream.resume()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#decoder.push(chunk)
    this.#settle()
    if (
      this.#waiter === undefined &&
      this.#decoder.bufferedBytes >= limits.readAheadBytes &&
      this.#decoder.ready
    ) {
      this.#stream.pause()
    }
  }

  readonly #onEnd = (): void => {
    // node:http2 also emits `end` while it destroys a reset stream; only an end before that is the peer's.
    if (this.#stream.destroyed) {
      this.#onClose()
    } else {
      this.#ended = true
      this.#settle()
    }
  }

  readonly #onClose = (): void => {
    if (!this.#ended) this.#failure ??= this.#closedError()
    this.#settle()
  }

  #settle(): void {
    const waiter = this.#waiter
    if (waiter === undefined) return
    const message = this.#take()
    if (message !== undefined) {
      this.#waiter = undefined
      waiter.resolve(message)
    } else if (this.#failure !== undefined) {
      this.#waiter = undefined
      waiter.reject(this.#failure)
    } else if (this.#ended) {
      this.#waiter = undefined
      waiter.resolve(undefined)
    }
  }

  /** The next whole message; without one, notes why none can follow. */
  #take(): Buffer | undefined {
    try {
      const message = this.#decoder.next()
      if (message === undefined && this.#ended && this.#decoder.bufferedBytes > 0) {
        this.#failure ??= grpcError(Status.INTERNAL, "malformed message: the stream ended within it")
      }
      return message
    } catch (cause) {
      this.#failure = cause instanceof GrpcError ? cause : this.#closedError()
      return undefined
    }
  }

  #detach(): void {
    this.#attached = false
    this.#stream.off("data", this.#onData)
    this.#stream.off("end", this.#onEnd)
    this.#stream.off("close", this.#onClose)
  }
}

const closedEarly = (): GrpcError => grpcError(Status.CANCELLED, "the stream closed before its end")
