import { constants } from "node:http2"
import { Duplex } from "node:stream"
import type { RelayStream } from "./RelayLeg.ts"

/** One end of a connection within the process, for whoever takes HTTP/2 streams. */
class End extends Duplex {
  aborted = false
  rstCode: number = constants.NGHTTP2_NO_ERROR
  #other: End | undefined
  #written: (() => void) | undefined

  join(other: End): void {
    this.#other = other
  }

  close(code: number = constants.NGHTTP2_NO_ERROR): void {
    this.rstCode = code
    this.destroy()
  }

  override _read(): void {
    this.#other?.taken()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#other?.push(chunk) === true) done()
    else this.#written = done
  }

  override _final(done: () => void): void {
    this.#other?.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const other = this.#other
    this.#other = undefined
    if (other !== undefined && !(this.readableEnded && this.writableFinished)) other.lost()
    done(error)
  }

  taken(): void {
    const done = this.#written
    this.#written = undefined
    done?.()
  }

  /** The other end closed before both directions had ended. */
  lost(): void {
    if (this.destroyed) return
    this.aborted = true
    this.rstCode = constants.NGHTTP2_CANCEL
    this.destroy(new Error("the other end was closed"))
  }
}

/** Two ends of one connection, with half-close and backpressure. */
export const memoryStreams = (): readonly [RelayStream, RelayStream] => {
  const [a, b] = [new End({ allowHalfOpen: true }), new End({ allowHalfOpen: true })]
  a.join(b)
  b.join(a)
  return [a, b]
}
