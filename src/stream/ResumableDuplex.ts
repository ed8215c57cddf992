import { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { append, bufferedBytes, dropBefore, emptyReplay, peek } from "./core/ReplayBuffer.ts"
import type { EngineHooks, StreamEngine } from "./Engine.ts"
import { errorOf, type Outcome, type ResetCode, StreamReset } from "./Outcome.ts"

/** Bytes handed to the readable side ahead of its consumer. */
const readAheadBytes = limits.readAheadBytes

/**
 * One end of a resumable stream as an application sees it: a Duplex that is half-open and outlives its carriers.
 *
 * - Buffers given to `write` must not be changed afterwards: they may have to be sent again.
 * - `finish` means that the peer's application has consumed everything, `end` that ours has.
 * - Every failure is a `StreamError`; an unhandled one only closes the stream, `outcome` has it as well.
 * - Events: `open`, `suspended`, `resumed` (stall in ms), `moved`.
 */
export class ResumableDuplex extends Duplex {
  readonly #engine: StreamEngine
  readonly #opened = Promise.withResolvers<void>()
  readonly #outcome = Promise.withResolvers<Outcome>()
  readonly #released = Promise.withResolvers<void>()
  /** A write that did not fit yet, and its callback. */
  #unwritten: Buffer | undefined
  #written: ((error?: Error | null) => void) | undefined
  #finished: ((error?: Error | null) => void) | undefined
  /** Received bytes that the readable side does not want yet; small pieces packed. */
  #waiting = emptyReplay()
  #wanted = true
  #ended = false
  #pushed = 0
  #consumed = 0

  constructor(makeEngine: (hooks: EngineHooks) => StreamEngine) {
    super({ allowHalfOpen: true, readableHighWaterMark: readAheadBytes })
    this.#engine = makeEngine({
      deliver: (bytes) => this.#deliver(bytes),
      deliverEnd: () => this.#deliverEnd(),
      writable: () => this.#fill(),
      sentAll: () => this.#finish(),
      opened: () => {
        this.#opened.resolve()
        this.emit("open")
      },
      suspended: () => this.emit("suspended"),
      resumed: (stallMs) => this.emit("resumed", stallMs),
      moved: () => this.emit("moved"),
      ended: (outcome) => this.#over(outcome),
      released: () => this.#released.resolve(),
    })
    this.#opened.promise.catch(() => undefined)
    this.on("error", () => undefined)
  }

  /** How the stream ended; never rejects. */
  get outcome(): Promise<Outcome> {
    return this.#outcome.promise
  }

  /** Resolves when the peer knows how the stream ended, or can no longer be told. */
  get released(): Promise<void> {
    return this.#released.promise
  }

  /** Client: settles when the server took the stream, or with the `StreamError` that prevented it. */
  get opened(): Promise<void> {
    return this.#opened.promise
  }

  /** No carrier works at the moment. */
  get suspended(): boolean {
    const { welcomed, suspendedMs, outcome } = this.#engine.state
    return welcomed && suspendedMs !== undefined && outcome === undefined
  }

  /** Moves the stream to a second carrier while the first still works; a server asks its client to. */
  move(): void {
    this.#engine.dispatch({ type: "move" })
  }

  /** Gives the stream up with a reason for the peer. */
  abort(code: ResetCode, text: string): void {
    this.destroy(new StreamReset({ by: "local", code, message: text }))
  }

  override read(size?: number): Buffer | null {
    const chunk: Buffer | null = super.read(size)
    this.#account()
    return chunk
  }

  override _read(): void {
    this.#wanted = true
    this.#feed()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#unwritten = chunk
    this.#written = done
    this.#fill()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#finished = done
    this.#engine.dispatch({ type: "end" })
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const code = error === null ? "cancelled" : error instanceof StreamReset ? error.code : "target"
    // Does nothing for a stream that is over or complete.
    this.#engine.dispatch({ type: "abort", code, text: error?.message ?? "the stream was closed" })
    this.#waiting = emptyReplay()
    this.#unwritten = undefined
    this.#settleWrite(error ?? new StreamReset({ by: "local", code, message: "the stream was closed" }))
    done(error)
  }

  #fill(): void {
    while (this.#unwritten !== undefined) {
      const chunk = this.#unwritten
      const { room } = this.#engine
      if (room <= 0 && chunk.length > 0) {
        this.#engine.dispatch({ type: "full" })
        return
      }
      this.#unwritten = chunk.length > room ? chunk.subarray(room) : undefined
      this.#engine.dispatch({ type: "write", bytes: chunk.length > room ? chunk.subarray(0, room) : chunk })
    }
    this.#settleWrite()
  }

  #settleWrite(error?: Error): void {
    const done = this.#written
    this.#written = undefined
    done?.(error)
  }

  #finish(): void {
    const done = this.#finished
    this.#finished = undefined
    done?.()
  }

  #deliver(bytes: Buffer): void {
    if (this.#wanted && bufferedBytes(this.#waiting) === 0) this.#push(bytes)
    else this.#waiting = append(this.#waiting, bytes)
    this.#account()
  }

  #deliverEnd(): void {
    this.#ended = true
    this.#feed()
  }

  #push(bytes: Buffer): void {
    this.#pushed += bytes.length
    this.#wanted = this.push(bytes)
  }

  #feed(): void {
    while (this.#wanted && bufferedBytes(this.#waiting) > 0) {
      const bytes = peek(this.#waiting, this.#waiting.start, readAheadBytes)
      this.#waiting = dropBefore(this.#waiting, this.#waiting.start + bytes.length)
      this.#push(bytes)
    }
    if (this.#ended && bufferedBytes(this.#waiting) === 0) {
      this.#ended = false
      this.push(null)
    }
    this.#account()
  }

  /** What left the readable side is in the hands of the application: only that is acknowledged. */
  #account(): void {
    const bytes = this.#pushed - this.readableLength - this.#consumed
    if (bytes <= 0 || this.destroyed) return
    this.#consumed += bytes
    this.#engine.dispatch({ type: "consumed", bytes })
  }

  #over(outcome: Outcome): void {
    const error = errorOf(outcome)
    if (error !== undefined) {
      this.#opened.reject(error)
      this.destroy(error)
    }
    this.#outcome.resolve(outcome)
  }
}
