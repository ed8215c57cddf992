/** A script's stdout: whatever a login profile prints, then the nonce and fields, each ended by a zero byte. */
import { PassThrough, Transform, type TransformCallback } from "node:stream"
import { limits } from "../../domain/Limits.ts"
import { TransferFailed } from "./TransferFailed.ts"

/**
 * Takes the bytes of a script's stdout; everything after the nonce and `fieldCount` fields passes through.
 * `fields` rejects when the flow ends before them.
 */
export class FramedOutput extends Transform {
  readonly fields: Promise<ReadonlyArray<string>>
  readonly #nonce: Buffer
  readonly #fieldCount: number
  #head: Buffer | undefined = Buffer.alloc(0)
  #resolve: (fields: ReadonlyArray<string>) => void = () => undefined
  #reject: (error: TransferFailed) => void = () => undefined

  constructor(nonce: string, fieldCount: number) {
    super({ highWaterMark: 262_144 })
    this.#nonce = Buffer.from(`${nonce}\0`)
    this.#fieldCount = fieldCount
    this.fields = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.fields.catch(() => undefined)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#head === undefined) {
      done(null, chunk)
      return
    }
    this.#head = Buffer.concat([this.#head, chunk])
    const rest = this.#parse(this.#head)
    if (rest !== undefined) {
      this.#head = undefined
      done(null, rest)
      return
    }
    const tooLong = this.#head.length > limits.transferPreambleBytes
    done(tooLong ? cutShort("the sandbox's login profile prints too much") : null)
  }

  override _flush(done: TransformCallback): void {
    if (this.#head !== undefined) this.#reject(cutShort("the transfer was cut short"))
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#reject(cutShort(error?.message ?? "the transfer was stopped"))
    done(error)
  }

  #parse(head: Buffer): Buffer | undefined {
    const start = head.indexOf(this.#nonce)
    if (start === -1) return undefined
    const fields: Array<string> = []
    let at = start + this.#nonce.length
    while (fields.length < this.#fieldCount) {
      const end = head.indexOf(0, at)
      if (end === -1) return undefined
      fields.push(head.toString("utf8", at, end))
      at = end + 1
    }
    this.#resolve(fields)
    return head.subarray(at)
  }
}

const cutShort = (message: string): TransferFailed => new TransferFailed({ reason: "damaged", message })

/** Keeps the last bytes of a program's error output. */
export class Tail extends PassThrough {
  #kept = Buffer.alloc(0)

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const joined = Buffer.concat([this.#kept, chunk])
    this.#kept = joined.subarray(Math.max(0, joined.length - limits.transferMessageBytes))
    done()
  }

  get text(): string {
    return this.#kept.toString("utf8").trim()
  }
}
