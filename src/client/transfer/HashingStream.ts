import { createHash } from "node:crypto"
import { Transform, type TransformCallback } from "node:stream"

/** Passes bytes on, counts them and takes their SHA-256. */
export class HashingStream extends Transform {
  readonly #hash = createHash("sha256")
  readonly #onBytes: ((bytes: number) => void) | undefined
  #bytes = 0

  constructor(onBytes?: (bytes: number) => void) {
    super({ highWaterMark: 262_144 })
    this.#onBytes = onBytes
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
    this.#onBytes?.(this.#bytes)
    done(null, chunk)
  }

  /** Once, after the end. */
  digest(): string {
    return this.#hash.digest("hex")
  }
}
