/**
 * gRPC's length-prefixed messages: one flag byte, four bytes of length, the message.
 * Pure: no sockets, no timers.
 */
import { Status } from "../../domain/Status.ts"
import { type GrpcError, grpcError } from "./GrpcError.ts"

/** Flag byte and length. */
export const frameHeaderBytes = 5

/** The header of an uncompressed message. */
export const frameHeader = (messageBytes: number): Buffer => {
  const header = Buffer.alloc(frameHeaderBytes)
  header.writeUInt32BE(messageBytes, 1)
  return header
}

export const encodeFrame = (message: Uint8Array): Buffer => {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + message.byteLength)
  frame[0] = 0
  frame.writeUInt32BE(message.byteLength, 1)
  frame.set(message, frameHeaderBytes)
  return frame
}

const checkHeader = (flag: number, length: number, maxMessageBytes: number): GrpcError | undefined => {
  if (flag === 1) return grpcError(Status.UNIMPLEMENTED, "compressed messages are not supported")
  if (flag !== 0) return grpcError(Status.INTERNAL, `malformed message: flag byte ${flag}`)
  if (length > maxMessageBytes) {
    return grpcError(
      Status.RESOURCE_EXHAUSTED,
      `message of ${length} bytes exceeds the limit of ${maxMessageBytes} bytes`,
    )
  }
  return undefined
}

/**
 * Cuts a byte flow into messages. Chunks wait in a list and a message is copied at most once, when it spans
 * chunks; one that lies within a chunk is a view of it. After an error every later call repeats it.
 */
export class FrameDecoder {
  readonly #maxMessageBytes: number
  readonly #chunks: Array<Buffer> = []
  /** Bytes of the first chunk that are consumed already. */
  #offset = 0
  #buffered = 0
  #bodyBytes: number | undefined
  #error: GrpcError | undefined

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
  }

  /** Bytes pushed and not consumed. */
  get bufferedBytes(): number {
    return this.#buffered + (this.#bodyBytes === undefined ? 0 : frameHeaderBytes)
  }

  /** Whether `next` would yield a message or an error now. */
  get ready(): boolean {
    this.#readHeader()
    return this.#error !== undefined || (this.#bodyBytes !== undefined && this.#buffered >= this.#bodyBytes)
  }

  /** The next whole message; throws GrpcError when the flow is not acceptable. */
  next(): Buffer | undefined {
    if (!this.ready) return undefined
    if (this.#error !== undefined) throw this.#error
    const message = this.#take(this.#bodyBytes ?? 0)
    this.#bodyBytes = undefined
    return message
  }

  /** Everything pushed and not consumed, exactly as it came, and an empty decoder after it. */
  leftover(): Buffer {
    const header = this.#bodyBytes === undefined ? undefined : frameHeader(this.#bodyBytes)
    this.#bodyBytes = undefined
    const rest = this.#take(this.#buffered)
    return header === undefined ? rest : Buffer.concat([header, rest])
  }

  /** Forgets everything pushed and not consumed. */
  clear(): void {
    this.#chunks.length = 0
    this.#offset = 0
    this.#buffered = 0
    this.#bodyBytes = undefined
  }

  #readHeader(): void {
    if (this.#bodyBytes !== undefined || this.#error !== undefined || this.#buffered < frameHeaderBytes)
      return
    const first = this.#chunks[0]
    const inPlace = first !== undefined && first.length - this.#offset >= frameHeaderBytes
    const header = inPlace ? first : this.#peekHeader()
    const at = inPlace ? this.#offset : 0
    const length = header.readUInt32BE(at + 1)
    this.#error = checkHeader(header[at] ?? 0, length, this.#maxMessageBytes)
    if (this.#error !== undefined) return
    this.#skip(frameHeaderBytes)
    this.#bodyBytes = length
  }

  #peekHeader(): Buffer {
    const header = Buffer.alloc(frameHeaderBytes)
    let filled = 0
    let offset = this.#offset
    for (const chunk of this.#chunks) {
      filled += chunk.copy(header, filled, offset)
      offset = 0
      if (filled === frameHeaderBytes) break
    }
    return header
  }

  #take(length: number): Buffer {
    const first = this.#chunks[0]
    if (length === 0 || first === undefined) return Buffer.alloc(0)
    if (first.length - this.#offset >= length) {
      const view = first.subarray(this.#offset, this.#offset + length)
      this.#skip(length)
      return view
    }
    const message = Buffer.allocUnsafe(length)
    let filled = 0
    let offset = this.#offset
    for (const chunk of this.#chunks) {
      filled += chunk.copy(message, filled, offset)
      offset = 0
      if (filled === length) break
    }
    this.#skip(length)
    return message
  }

  #skip(length: number): void {
    this.#buffered -= length
    this.#offset += length
    let spent = 0
    for (const chunk of this.#chunks) {
      if (this.#offset < chunk.length) break
      this.#offset -= chunk.length
      spent++
    }
    if (spent > 0) this.#chunks.splice(0, spent)
  }
}

/**
 * Walks the frame headers of a flow that passes by uncut: no copy, no buffer. Enforces the message limit,
 * refuses compression, and with `tag` that every non-empty message starts with that byte (0x12 is field 2,
 * bytes: the data of a relay or forward frame).
 */
export class FrameGuard {
  readonly #maxMessageBytes: number
  readonly #tag: number | undefined
  #headerBytes = 0
  #flag = 0
  #length = 0
  #bodyLeft = 0
  #atBodyStart = false
  #error: GrpcError | undefined

  constructor(maxMessageBytes: number, options?: { readonly tag?: number }) {
    this.#maxMessageBytes = maxMessageBytes
    this.#tag = options?.tag
  }

  /** Whether the flow stands between two messages; false at its end means that a message was cut short. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0 && this.#bodyLeft === 0
  }

  check(chunk: Buffer): GrpcError | undefined {
    let at = 0
    while (this.#error === undefined && at < chunk.length) {
      if (this.#bodyLeft > 0) {
        this.#checkTag(chunk[at])
        const step = Math.min(this.#bodyLeft, chunk.length - at)
        this.#bodyLeft -= step
        at += step
      } else {
        this.#headerByte(chunk[at] ?? 0)
        at++
      }
    }
    return this.#error
  }

  #checkTag(byte: number | undefined): void {
    if (this.#atBodyStart && this.#tag !== undefined && byte !== this.#tag) {
      this.#error = grpcError(Status.INVALID_ARGUMENT, "only data frames may follow the first frame")
    }
    this.#atBodyStart = false
  }

  #headerByte(byte: number): void {
    if (this.#headerBytes === 0) {
      this.#flag = byte
      this.#length = 0
    } else {
      this.#length = this.#length * 256 + byte
    }
    this.#headerBytes++
    if (this.#headerBytes < frameHeaderBytes) return
    this.#headerBytes = 0
    this.#error = checkHeader(this.#flag, this.#length, this.#maxMessageBytes)
    this.#bodyLeft = this.#length
    this.#atBodyStart = true
  }
}
