/**
 * One virtual time for all processes of a simulation. An event runs, everything it sets in motion comes to rest,
 * the checks look, and time goes on to the next event.
 */
import type { Process } from "./Process.ts"
import { Random } from "./Random.ts"
import { Trace } from "./Trace.ts"
import { afterTurn } from "./Turns.ts"

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
  readonly #ready: Array<Process> = []
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
  advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    return new Promise((resolve, reject) => {
      let turns = 0
      const turn = () => {
        try {
          if (this.#runReady()) {
            turns += 1
            if (turns > restlessTurns) throw this.#restless()
          } else {
            turns = 0
            this.check()
            if (!this.#runNext(untilMs)) {
              this.nowMs = untilMs
              resolve()
              return
            }
          }
        } catch (error) {
          reject(error)
          return
        }
        afterTurn(later)
      }
      const later = () => queueMicrotask(turn)
      afterTurn(later)
    })
  }

  /** Gives every process that has something to do its turn; false if there is none. */
  #runReady(): boolean {
    const ready = this.#ready
    for (const process of this.processes) if (process.ready) ready.push(process)
    if (ready.length === 0) return false
    while (ready.length > 0) {
      const [process] = ready.splice(this.random.below(ready.length), 1)
      process?.runTasks()
    }
    return true
  }

  /** Runs the next event until then; false if there is none. */
  #runNext(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.atMs > untilMs) return false
      this.#pop()
      if (next.cancelled) continue
      this.nowMs = next.atMs
      this.events += 1
      next.run()
      return true
    }
  }

  #restless(): Error {
    const busy = this.processes.filter((process) => process.ready).map(({ name }) => name)
    return new Error(
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
