import {
  type ControlFrame,
  decodeControl,
  type Frame,
  headerBytes,
  offsetBytes,
  readHeader,
} from "./Frames.ts"
import { readU64 } from "./Uint64.ts"

/**
 * Frames out of a flow that is cut anywhere. Payload is never copied or collected: each piece of a DATA frame
 * comes out as soon as it is there, as a data frame with the offset of that piece.
 */
export class FrameDecoder {
  /** Set once; every later push returns nothing. */
  failure: string | undefined
  /** The header, and the body of a control frame or the offset of a data frame, as far as it has arrived. */
  #part = Buffer.allocUnsafe(headerBytes)
  #filled = 0
  #type: Frame["type"] | undefined
  /** Payload of the current data frame that is still to come, and the offset of its next byte. */
  #payload = 0
  #offset = 0
  #bodyLength = 0

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = []
    let at = 0
    while (at < chunk.length && this.failure === undefined) {
      if (this.#payload > 0) {
        const bytes = chunk.subarray(at, at + this.#payload)
        frames.push({ type: "data", offset: this.#offset, bytes })
        at += bytes.length
        this.#offset += bytes.length
        this.#payload -= bytes.length
        continue
      }
      const copied = chunk.copy(this.#part, this.#filled, at)
      at += copied
      this.#filled += copied
      if (this.#filled === this.#part.length) this.#complete(frames)
    }
    return frames
  }

  #complete(frames: Frame[]): void {
    if (this.#type === undefined) this.#header(frames)
    else if (this.#type === "data") {
      this.#offset = readU64(this.#part, 0)
      this.#payload = this.#bodyLength - offsetBytes
      if (!Number.isSafeInteger(this.#offset + this.#payload)) this.failure = "offset beyond 2^53"
      this.#expectHeader()
    } else this.#control(frames, this.#type)
  }

  #header(frames: Frame[]): void {
    const header = readHeader(this.#part[0] ?? 0, this.#part.readUIntBE(1, 3))
    if (header === undefined) {
      this.failure = "frame of unknown type or length"
      return
    }
    this.#bodyLength = header.length
    if (header.length === 0 && header.type !== "data") {
      this.#part = Buffer.alloc(0)
      this.#control(frames, header.type)
      return
    }
    this.#type = header.type
    this.#expect(header.type === "data" ? offsetBytes : header.length)
  }

  #control(frames: Frame[], type: ControlFrame["type"]): void {
    const decoded = decodeControl(type, this.#part)
    if (decoded === undefined) this.failure = `malformed ${type} frame`
    else frames.push(decoded)
    this.#expectHeader()
  }

  #expectHeader(): void {
    this.#type = undefined
    this.#expect(headerBytes)
  }

  #expect(bytes: number): void {
    if (this.#part.length !== bytes) this.#part = Buffer.allocUnsafe(bytes)
    this.#filled = 0
  }
}
