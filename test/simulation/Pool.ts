/** Spreads seeds over threads. */
import { Worker } from "node:worker_threads"

export interface Ran {
  readonly seed: number
  readonly hash: string
  readonly virtualMs: number
  readonly violation: string | undefined
}

export interface PoolOptions {
  readonly seeds: Iterable<number>
  readonly threads: number
  readonly bug?: string | undefined
  /** After that seed; true ends the run. */
  readonly ran: (ran: Ran) => boolean
}

/** A run that hangs is a failure of its own; no seed takes a hundredth of this. */
const hungMs = 120_000

export const runSeeds = ({ seeds, threads, bug, ran }: PoolOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const queue = seeds[Symbol.iterator]()
    const workers = new Set<Worker>()
    let over = false
    const end = (error?: Error) => {
      if (over) return
      over = true
      for (const worker of workers) void worker.terminate()
      if (error === undefined) resolve()
      else reject(error)
    }
    const hire = () => {
      const worker = new Worker(new URL("Worker.ts", import.meta.url), {
        workerData: bug,
        resourceLimits: { maxYoungGenerationSizeMb: 64 },
      })
      workers.add(worker)
      let timer: NodeJS.Timeout | undefined
      const next = () => {
        clearTimeout(timer)
        const { done, value } = queue.next()
        if (done === true) {
          workers.delete(worker)
          void worker.terminate()
          if (workers.size === 0) end()
          return
        }
        timer = setTimeout(() => end(new Error(`seed ${value} does not come to an end`)), hungMs)
        worker.postMessage(value)
      }
      worker.on("message", (message: Ran | "ready") => {
        if (over) return
        if (message !== "ready" && ran(message)) {
          clearTimeout(timer)
          end()
        } else next()
      })
      worker.once("error", end)
    }
    for (let index = 0; index < threads; index += 1) hire()
  })
