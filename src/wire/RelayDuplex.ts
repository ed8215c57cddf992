import { Duplex } from "node:stream"
import { DataFrameDecoder } from "./RelayFraming.ts"
import type { RelayLeg } from "./RelayLeg.ts"
import { writePayload, writePayloads } from "./RelayWriter.ts"

/**
 * A relay leg as the Duplex of its payload bytes, with half-close and backpressure both ways. For users that
 * need a Duplex; two byte legs are joined more cheaply by `joinSocket`.
 */
export class RelayDuplex extends Duplex {
  readonly #leg: RelayLeg
  readonly #decoder: DataFrameDecoder
  /** The peer's direction ended in order; `peerEnded` once the call's status agrees. */
  #ending = false
  #peerEnded = false
  #waiting: ((error?: Error) => void) | undefined

  constructor(leg: RelayLeg) {
    super({ allowHalfOpen: true })
    this.#leg = leg
    this.#decoder = new DataFrameDecoder({ maxMessageBytes: leg.maxMessageBytes })
    const { stream } = leg
    stream.pause()
    stream.on("data", (chunk: Buffer) => this.#receive(chunk))
    stream.once("end", () => void this.#receiveEnd())
    stream.on("drain", () => this.#flushed())
    stream.once("error", (error) => this.destroy(error))
    stream.once("close", () => this.#closed())
    // A failure is told even while a slow reader keeps the stream's end unread.
    void leg.early?.then((failure) => {
      if (failure !== undefined) this.destroy(new Error(failure))
    })
    if (leg.initial.length > 0) this.#receive(leg.initial)
    if (leg.ended) void this.#receiveEnd()
    else if (stream.destroyed) this.#closed()
  }

  override _read(): void {
    this.#leg.stream.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { stream } = this.#leg
    if (stream.destroyed || stream.writableEnded) done(new Error("relay stream is closed"))
    else if (writePayload(stream, chunk)) done()
    else this.#waiting = done
  }

  override _writev(
    chunks: ReadonlyArray<{ readonly chunk: Buffer }>,
    done: (error?: Error | null) => void,
  ): void {
    const { stream } = this.#leg
    const buffers = chunks.map(({ chunk }) => chunk)
    if (stream.destroyed || stream.writableEnded) done(new Error("relay stream is closed"))
    else if (writePayloads(stream, buffers)) done()
    else this.#waiting = done
  }

  override _final(done: (error?: Error | null) => void): void {
    if (!this.#leg.stream.destroyed) this.#leg.endWrite()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!(this.#peerEnded && this.writableFinished)) this.#leg.abort(error?.message ?? "relay was abandoned")
    this.#flushed(new Error("relay stream is closed"))
    done(error)
  }

  #receive(chunk: Buffer): void {
    let wanted = true
    for (const slice of this.#decoder.push(chunk)) wanted = this.push(slice)
    if (this.#decoder.failure !== undefined) this.destroy(new Error(this.#decoder.failure.message))
    else if (!wanted) this.#leg.stream.pause()
  }

  async #receiveEnd(): Promise<void> {
    // node:http2 also emits `end` while it destroys a reset stream; only an end before that is the peer's.
    if (!this.#leg.ended && this.#leg.stream.destroyed) return
    this.#ending = true
    const failure = this.#decoder.end()?.message ?? (await this.#leg.outcome())
    if (failure !== undefined) {
      this.destroy(new Error(failure))
      return
    }
    this.#peerEnded = true
    this.push(null)
    if (this.#leg.stream.destroyed) this.#closed()
  }

  #flushed(error?: Error): void {
    const done = this.#waiting
    this.#waiting = undefined
    done?.(error)
  }

  #closed(): void {
    this.#flushed(new Error("relay stream is closed"))
    if (this.#peerEnded) {
      // A peer that ended its direction and then closed the stream lets us deliver what it sent.
      if (!this.writableEnded) this.end()
    } else if (!this.#ending) {
      this.destroy(new Error("relay stream was closed"))
    }
  }
}
