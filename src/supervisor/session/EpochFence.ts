/**
 * Remembers the highest owner epoch that any gateway showed to this supervisor. A replica that was frozen while
 * another took over still speaks with its old epoch; what it asks for after the new owner spoke is refused.
 */
export class EpochFence {
  #highest = 0
  #refused = 0

  get highest(): number {
    return this.#highest
  }

  /** Commands refused so far. */
  get refused(): number {
    return this.#refused
  }

  /** Takes note of an epoch; 0 means that the peer does not fence. */
  observe(epoch: number): void {
    if (epoch > this.#highest) this.#highest = epoch
  }

  /** Whether a command under `epoch` may run: undefined, or why not. A gateway without epochs may always. */
  admit(epoch: number | undefined): string | undefined {
    if (epoch === undefined || epoch === 0) return undefined
    if (epoch < this.#highest) {
      this.#refused += 1
      return `stale epoch ${epoch}: epoch ${this.#highest} has spoken already`
    }
    this.observe(epoch)
    return undefined
  }
}
