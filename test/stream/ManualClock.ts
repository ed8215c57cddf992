import type { StreamClock } from "../../src/stream/Clock.ts"

interface Task {
  readonly atMs: number
  readonly run: () => void
}

/** Time that passes only when told to. */
export class ManualClock implements StreamClock {
  #nowMs = 0
  readonly #tasks = new Set<Task>()

  nowMs = (): number => this.#nowMs

  after = (delayMs: number, run: () => void): (() => void) => {
    const task = { atMs: this.#nowMs + delayMs, run }
    this.#tasks.add(task)
    return () => this.#tasks.delete(task)
  }

  get waiting(): number {
    return this.#tasks.size
  }

  /** Runs what falls due, in order; whatever that sets in motion comes to rest before time goes on. */
  async advance(byMs: number): Promise<void> {
    await rest()
    const untilMs = this.#nowMs + byMs
    for (;;) {
      const next = [...this.#tasks].filter((task) => task.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      this.#tasks.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
      await rest()
    }
    this.#nowMs = untilMs
    await rest()
  }
}

/** Duplexes in memory need a few turns of the event loop to pass something on. */
export const rest = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
