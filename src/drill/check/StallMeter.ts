/**
 * The longest time that a stream waited for something it was due. Pure: the caller gives the time. A stream
 * that owes nothing does not stall, however long it is silent.
 */
export class StallMeter {
  #waiting = false
  #sinceMs = 0
  #windowMs = 0
  #maxMs = 0

  /** From then on something is due, if nothing was before; the time may be yet to come. */
  expect(nowMs: number): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#sinceMs = nowMs
  }

  /** Some of it came; more is due. */
  progress(nowMs: number): void {
    if (!this.#waiting) return
    this.#note(nowMs)
    this.#sinceMs = nowMs
  }

  /** All of it came, or the stream is over. */
  satisfied(nowMs: number): void {
    this.progress(nowMs)
    this.#waiting = false
  }

  /** Forgets what was before; a wait under way counts from now. */
  beginWindow(nowMs: number): void {
    this.#windowMs = nowMs
    this.#maxMs = 0
  }

  /** The longest wait of the window, one under way included. */
  maxMs(nowMs: number): number {
    if (this.#waiting) this.#note(nowMs)
    return this.#maxMs
  }

  #note(nowMs: number): void {
    this.#maxMs = Math.max(this.#maxMs, nowMs - Math.max(this.#sinceMs, this.#windowMs))
  }
}
