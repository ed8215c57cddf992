import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import type { StreamClock } from "./Clock.ts"
import { FrameDecoder } from "./FrameDecoder.ts"
import { type ControlFrame, encodeControl, encodeDataHeader, type Frame } from "./Frames.ts"

export interface CarrierEvents {
  readonly frame: (frame: Frame) => void
  readonly malformed: (text: string) => void
  /** The carrier takes more again. */
  readonly drain: () => void
  /** Told once. */
  readonly closed: () => void
  /** All frames of one piece were told. */
  readonly idle: () => void
}

/**
 * Frames over any reliable, ordered Duplex. It is always read: what a peer may send is bounded by credit, and
 * acknowledgements must get through whatever the application does.
 */
export class Carrier {
  readonly #duplex: Duplex
  readonly #clock: StreamClock
  readonly #decoder = new FrameDecoder()
  #events: CarrierEvents | undefined
  #closed = false
  #closing = false

  constructor(duplex: Duplex, clock: StreamClock) {
    this.#duplex = duplex
    this.#clock = clock
    duplex.on("data", (chunk: Buffer) => this.#receive(chunk))
    duplex.on("drain", () => this.#events?.drain())
    duplex.on("error", () => this.#close())
    duplex.once("end", () => this.#close())
    duplex.once("close", () => this.#close())
    if (duplex.destroyed) this.#close()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Whether a frame may be written now. */
  get ready(): boolean {
    return !this.#closed && !this.#closing && !this.#duplex.writableNeedDrain
  }

  /** To be called at once; a later listener takes over from the next frame on. */
  listen(events: CarrierEvents): void {
    this.#events = events
    if (this.#closed) events.closed()
  }

  send(frame: ControlFrame): void {
    if (!this.#closed && !this.#closing) this.#duplex.write(encodeControl(frame))
  }

  sendData(offset: number, bytes: Buffer): void {
    if (this.#closed || this.#closing) return
    const header = encodeDataHeader(offset, bytes.length)
    if (bytes.length < limits.frameCopyBytes) {
      this.#duplex.write(Buffer.concat([header, bytes]))
    } else {
      this.#duplex.write(header)
      this.#duplex.write(bytes)
    }
  }

  /** Writes in between leave together. */
  corked(writes: () => void): void {
    this.#duplex.cork()
    writes()
    this.#duplex.uncork()
  }

  /** No frame is told from here on. `linger`: the peer is expected to close first. */
  close(how: "now" | "flush" | "linger"): void {
    this.#events = undefined
    if (this.#closing) return
    this.#closing = true
    if (how === "now" || this.#closed) {
      this.#duplex.destroy()
      return
    }
    if (how === "flush") this.#duplex.end()
    const cancel = this.#clock.after(limits.resumeLingerMs, () => this.#duplex.destroy())
    this.#duplex.once("close", cancel)
  }

  #receive(chunk: Buffer): void {
    if (this.#closing) return
    for (const frame of this.#decoder.push(chunk)) this.#events?.frame(frame)
    if (this.#decoder.failure !== undefined) this.#events?.malformed(this.#decoder.failure)
    this.#events?.idle()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    // A direction that the peer ended is of no use alone; the other may still flush.
    if (!this.#closing) this.#duplex.destroy()
    this.#events?.closed()
  }
}
