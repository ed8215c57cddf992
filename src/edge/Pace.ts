import { limits } from "../domain/Limits.ts"

/**
 * Spreads a number of messages evenly over a time, and sends few of them at once: each costs whoever takes over
 * processor time that those who are served already miss.
 */
export class Pace {
  readonly #startedAtMs: number
  readonly #perMs: number
  #told = 0

  constructor(total: number, startedAtMs: number, untilMs: number) {
    this.#startedAtMs = startedAtMs
    this.#perMs = Math.max(limits.drainLeastPerSecond / 1_000, total / Math.max(1, untilMs - startedAtMs))
  }

  /** How many more may be told by now. */
  due(nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - this.#startedAtMs) * this.#perMs) + 1 - this.#told)
  }

  told(count: number): void {
    this.#told += count
  }
}
