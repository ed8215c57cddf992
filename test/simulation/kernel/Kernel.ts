/**
 * One virtual time for all processes of a simulation. An event runs, everything it sets in motion comes to rest,
 * the checks look, and time goes on to the next event.
 */
import type { Process } from "./Process.ts"
import { Random } from "./Random.ts"
import { Trace } from "./Trace.ts"

interface Scheduled {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

/** Turns without rest before a simulation counts as one that never comes to rest. */
const restlessTurns = 5_000

export class Kernel {
  readonly random: Random
  readonly trace: Trace
  readonly processes: Array<Process> = []
  /** Looks at the world when it is at rest; throws for what must not be. */
  check: () => void = () => undefined
  nowMs = 0
  events = 0
  readonly #heap: Array<Scheduled> = []
  #order = 0

  constructor(seed: number, trace: Trace = new Trace()) {
    this.random = new Random(seed)
    this.trace = trace
  }

  /** Runs once after `delayMs`; the answer cancels it. */
  after(delayMs: number, run: () => void): () => void {
    this.#order += 1
    const scheduled = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order, run, cancelled: false }
    this.#push(scheduled)
    return () => {
      scheduled.cancelled = true
    }
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    await this.rest()
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) break
      this.#pop()
      if (next.cancelled) continue
      this.nowMs = next.atMs
      this.events += 1
      next.run()
      await this.rest()
    }
    this.nowMs = untilMs
  }

  /** Runs what is ready, in every process, until nothing is. */
  async rest(): Promise<void> {
    for (let turn = 0; turn < restlessTurns; turn += 1) {
      // Promises and streams work between two turns of the event loop.
      await new Promise((resolve) => setImmediate(resolve))
      const ready = this.processes.filter((process) => process.ready)
      if (ready.length === 0) {
        this.check()
        return
      }
      for (let count = ready.length; count > 0; count -= 1) {
        const index = this.random.below(count)
        const process = ready[index]
        ready.splice(index, 1)
        process?.runTasks()
      }
    }
    const busy = this.processes.filter((process) => process.ready).map(({ name }) => name)
    throw new Error(
      `the simulation does not come to rest at ${this.nowMs} ms: ${busy.join(", ")} always has something to do`,
    )
  }

  #before(a: Scheduled, b: Scheduled): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(scheduled)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up]
      if (parent === undefined || !this.#before(scheduled, parent)) break
      heap[at] = parent
      at = up
    }
    heap[at] = scheduled
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      const left = heap[down]
      if (left === undefined) break
      const right = heap[down + 1]
      const child = right !== undefined && this.#before(right, left) ? right : left
      if (child === right) down += 1
      if (!this.#before(child, last)) break
      heap[at] = child
      at = down
    }
    heap[at] = last
  }
}
