/**
 * The newest output of a process, addressed by offsets since its start, so that every reader keeps a cursor
 * of its own and one that falls behind knows how much it lost. One circular buffer of `capacity` bytes.
 */
export class OutputRing {
  readonly capacity: number
  readonly #buffer: Buffer
  #end = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.#buffer = Buffer.alloc(capacity)
  }

  /** Offset of the oldest byte kept. */
  get start(): number {
    return Math.max(0, this.#end - this.capacity)
  }

  /** Offset after the newest byte. */
  get end(): number {
    return this.#end
  }

  append(chunk: Buffer): void {
    const kept = chunk.subarray(Math.max(0, chunk.length - this.capacity))
    const at = (this.#end + chunk.length - kept.length) % this.capacity
    const head = kept.copy(this.#buffer, at)
    kept.copy(this.#buffer, 0, head)
    this.#end += chunk.length
  }

  /** A copy of up to `maxBytes` from `offset` on; an offset no longer kept reads from the oldest byte. */
  read(offset: number, maxBytes: number): { readonly from: number; readonly bytes: Buffer } {
    const from = Math.min(Math.max(offset, this.start), this.#end)
    const length = Math.min(maxBytes, this.#end - from)
    const at = from % this.capacity
    const bytes = Buffer.allocUnsafe(length)
    const head = this.#buffer.copy(bytes, 0, at, Math.min(this.capacity, at + length))
    this.#buffer.copy(bytes, head, 0, length - head)
    return { from, bytes }
  }
}
