/**
 * The bytes of a relay inside gRPC messages. `RelayFrame` and `TcpForwardFrame` both carry `data` as field 2
 * (bytes), so one codec serves both and a payload is never copied: writing prepends a small header, reading
 * hands out slices of the received chunks.
 *
 *   gRPC prefix: flag 0, length u32 | tag 0x12 | varint n | n bytes
 */

const prefixBytes = 5
const tagInit = 0x0a
const tagData = 0x12
/** Protobuf varints end after ten bytes. */
const maxVarintBytes = 10

/** Why a peer's relay stream cannot be read on; the stream is dead after it. */
export interface RelayFramingError {
  readonly reason: "compressed" | "too-large" | "second-init" | "malformed" | "truncated"
  readonly message: string
}

const varintLength = (value: number): number => {
  let length = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length += 1
  return length
}

/** Everything that precedes `payloadLength` bytes of payload in one gRPC message with only `data` set. */
export const encodeDataHeader = (payloadLength: number): Buffer => {
  const varint = varintLength(payloadLength)
  const header = Buffer.allocUnsafe(prefixBytes + 1 + varint)
  header[0] = 0
  header.writeUInt32BE(1 + varint + payloadLength, 1)
  header[prefixBytes] = tagData
  let rest = payloadLength
  for (let index = 0; index < varint; index += 1) {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    header[prefixBytes + 1 + index] = rest > 0 ? low | 0x80 : low
  }
  return header
}

/** `prefix`, `tag`, `length`: collecting small numbers; `data`: passing a payload on; `skip`: unknown field. */
type State = "prefix" | "tag" | "length" | "data" | "skip"

/**
 * Reads gRPC messages cut anywhere. Unknown fields are skipped, empty payloads ignored; an `init` (field 1) is
 * an error because the stream's opening frame was consumed before the decoder starts.
 */
export class DataFrameDecoder {
  /** Set once; every later push returns nothing. */
  failure: RelayFramingError | undefined
  readonly #maxMessageBytes: number
  #state: State = "prefix"
  /** Bytes of the current number read so far, and its value. */
  #count = 0
  #value = 0
  #tag = 0
  /** Unread bytes of the current message and of the current field. */
  #message = 0
  #field = 0
  #sawData = false

  constructor(options: { readonly maxMessageBytes: number }) {
    this.#maxMessageBytes = options.maxMessageBytes
  }

  /** True between messages: a stream that ends elsewhere was cut. */
  get atBoundary(): boolean {
    return this.#state === "prefix" && this.#count === 0
  }

  /** Payload slices of `chunk` in order. After a failure: the slices before it, and `failure` is set. */
  push(chunk: Buffer): Buffer[] {
    const slices: Buffer[] = []
    let at = 0
    while (at < chunk.length && this.failure === undefined) {
      if (this.#state === "data" || this.#state === "skip") {
        const take = Math.min(this.#field, chunk.length - at)
        if (this.#state === "data") slices.push(chunk.subarray(at, at + take))
        at += take
        this.#field -= take
        this.#message -= take
        if (this.#field === 0) this.#nextField()
        continue
      }
      this.#byte(chunk[at] ?? 0)
      at += 1
    }
    return slices
  }

  /** Marks the end of the stream; a cut message is a failure. */
  end(): RelayFramingError | undefined {
    if (this.failure === undefined && !this.atBoundary)
      this.#fail("truncated", "relay stream ended inside a message")
    return this.failure
  }

  #byte(byte: number): void {
    if (this.#state === "prefix") {
      if (this.#count === 0) {
        if (byte !== 0) this.#fail("compressed", "compressed relay messages are not supported")
      } else {
        this.#value = this.#value * 256 + byte
      }
      this.#count += 1
      if (this.#count < prefixBytes) return
      if (this.#value > this.#maxMessageBytes) {
        this.#fail(
          "too-large",
          `relay message of ${this.#value} bytes exceeds ${this.#maxMessageBytes} bytes`,
        )
      }
      this.#message = this.#value
      this.#sawData = false
      this.#nextField()
      return
    }
    this.#message -= 1
    this.#value += (byte & 0x7f) * 2 ** (7 * this.#count)
    this.#count += 1
    if (byte & 0x80) {
      if (this.#count >= maxVarintBytes || this.#message === 0) this.#malformed()
      return
    }
    if (this.#state === "tag") this.#onTag(this.#value)
    else this.#onLength(this.#value)
  }

  #onTag(tag: number): void {
    const wireType = tag % 8
    if (tag === tagInit) {
      this.#fail("second-init", "relay init after the first frame")
    } else if (tag === tagData && this.#sawData) {
      this.#malformed()
    } else if (tag < 8 || wireType === 3 || wireType === 4 || wireType > 5) {
      this.#malformed()
    } else {
      this.#tag = tag
      if (wireType === 1) this.#skip(8)
      else if (wireType === 5) this.#skip(4)
      else this.#begin("length")
    }
  }

  #onLength(value: number): void {
    if (this.#tag % 8 === 0) this.#nextField()
    else if (this.#tag === tagData) {
      this.#sawData = true
      this.#enter("data", value)
    } else this.#skip(value)
  }

  #skip(length: number): void {
    this.#enter("skip", length)
  }

  #enter(state: "data" | "skip", length: number): void {
    if (length > this.#message) this.#malformed()
    else if (length === 0) this.#nextField()
    else {
      this.#state = state
      this.#field = length
    }
  }

  #nextField(): void {
    this.#begin(this.#message === 0 ? "prefix" : "tag")
  }

  #begin(state: "prefix" | "tag" | "length"): void {
    if (state === "length" && this.#message === 0) this.#malformed()
    this.#state = state
    this.#count = 0
    this.#value = 0
  }

  #malformed(): void {
    this.#fail("malformed", "relay message is not a valid frame")
  }

  #fail(reason: RelayFramingError["reason"], message: string): void {
    this.failure ??= { reason, message }
  }
}
