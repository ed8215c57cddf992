/** Reading and writing of SFTP version 3 packets (draft-ietf-secsh-filexfer-02). Pure. */

export const Request = {
  INIT: 1,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  LSTAT: 7,
  FSTAT: 8,
  SETSTAT: 9,
  FSETSTAT: 10,
  OPENDIR: 11,
  READDIR: 12,
  REMOVE: 13,
  MKDIR: 14,
  RMDIR: 15,
  REALPATH: 16,
  STAT: 17,
  RENAME: 18,
  READLINK: 19,
  SYMLINK: 20,
  EXTENDED: 200,
} as const

export const Response = {
  VERSION: 2,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  NAME: 104,
  ATTRS: 105,
  EXTENDED: 201,
} as const

export const SftpStatus = {
  OK: 0,
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  OP_UNSUPPORTED: 8,
} as const

/** The packet ends before what it announces. */
export class MalformedPacket extends Error {
  override readonly name = "MalformedPacket"
}

export class PacketReader {
  readonly #packet: Buffer
  #at = 0

  constructor(packet: Buffer) {
    this.#packet = packet
  }

  get done(): boolean {
    return this.#at >= this.#packet.length
  }

  byte(): number {
    return this.#take(1).readUInt8()
  }

  uint32(): number {
    return this.#take(4).readUInt32BE()
  }

  /** Offsets and sizes above 2^53 lose precision, which no file system reaches. */
  uint64(): number {
    return Number(this.#take(8).readBigUInt64BE())
  }

  /** A view of the packet; names are bytes, not text. */
  string(): Buffer {
    return this.#take(this.uint32())
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#packet.length) throw new MalformedPacket("packet ends early")
    const view = this.#packet.subarray(this.#at, end)
    this.#at = end
    return view
  }
}

/** Collects the parts of one packet; `finish` puts its length before them. */
export class PacketWriter {
  readonly #parts: Buffer[] = []

  constructor(type: number) {
    this.byte(type)
  }

  byte(value: number): this {
    return this.bytes(Buffer.from([value]))
  }

  uint32(value: number): this {
    const part = Buffer.allocUnsafe(4)
    part.writeUInt32BE(value >>> 0)
    return this.bytes(part)
  }

  uint64(value: number | bigint): this {
    const part = Buffer.allocUnsafe(8)
    part.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)))
    return this.bytes(part)
  }

  string(value: Buffer | string): this {
    const bytes = typeof value === "string" ? Buffer.from(value) : value
    return this.uint32(bytes.length).bytes(bytes)
  }

  bytes(part: Buffer): this {
    this.#parts.push(part)
    return this
  }

  finish(): Buffer {
    const length = this.#parts.reduce((sum, part) => sum + part.length, 0)
    const prefix = Buffer.allocUnsafe(4)
    prefix.writeUInt32BE(length)
    return Buffer.concat([prefix, ...this.#parts], length + 4)
  }
}

/** Cuts a byte flow into packets without their length; a packet of no or too many bytes throws. */
export class PacketSplitter {
  readonly #maxBytes: number
  readonly #header = Buffer.alloc(4)
  #headerBytes = 0
  /** A packet that spans chunks, and how much of it is there. */
  #packet: Buffer | undefined
  #filled = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  push(chunk: Buffer): Buffer[] {
    const packets: Buffer[] = []
    let rest = chunk
    while (rest.length > 0) {
      if (this.#packet === undefined) {
        const taken = rest.copy(this.#header, this.#headerBytes)
        this.#headerBytes += taken
        rest = rest.subarray(taken)
        if (this.#headerBytes < 4) break
        this.#begin(this.#header.readUInt32BE())
      } else {
        const taken = rest.copy(this.#packet, this.#filled)
        this.#filled += taken
        rest = rest.subarray(taken)
        if (this.#filled < this.#packet.length) break
        packets.push(this.#packet)
        this.#packet = undefined
      }
    }
    return packets
  }

  #begin(length: number): void {
    if (length === 0 || length > this.#maxBytes) throw new MalformedPacket(`packet of ${length} bytes`)
    this.#packet = Buffer.allocUnsafe(length)
    this.#filled = 0
    this.#headerBytes = 0
  }
}
