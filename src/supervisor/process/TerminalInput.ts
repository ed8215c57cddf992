import { writeSync } from "node:fs"
import { Writable } from "node:stream"
import { limits } from "../../domain/Limits.ts"

/**
 * Typed input for a terminal whose descriptor does not block. A program that does not read lets the terminal's
 * queue fill up; the write is then tried again later, and whoever types is held back. Writes are synchronous,
 * so none can meet a descriptor that was closed and given to another file meanwhile.
 */
export class TerminalInput extends Writable {
  readonly #fd: number
  #open = true

  constructor(fd: number) {
    super({ highWaterMark: 4_096 })
    this.#fd = fd
  }

  /** From here on typed input is dropped; the descriptor may be closed. */
  stop(): void {
    this.#open = false
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#deliver(chunk, done)
  }

  #deliver(chunk: Buffer, done: () => void): void {
    const rest = this.#open ? chunk.subarray(this.#writeSome(chunk)) : Buffer.alloc(0)
    if (rest.length === 0) done()
    else setTimeout(() => this.#deliver(rest, done), limits.ptyWriteRetryMs)
  }

  #writeSome(chunk: Buffer): number {
    try {
      return writeSync(this.#fd, chunk)
    } catch (cause) {
      // EAGAIN: the queue is full. Anything else: the terminal is gone, and so is the use of the input.
      return cause instanceof Error && "code" in cause && cause.code === "EAGAIN" ? 0 : chunk.length
    }
  }
}
