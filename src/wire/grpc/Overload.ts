/** Whether this process has more to do than it can: then it is better to refuse a newcomer than to keep all waiting. */
import { type EventLoopUtilization, performance } from "node:perf_hooks"
import { limits } from "../../domain/Limits.ts"

export class Overload {
  #from: EventLoopUtilization = performance.eventLoopUtilization()
  #looked = performance.now()
  #busy = false

  /** Whether the event loop had no rest lately. */
  busy(): boolean {
    const nowMs = performance.now()
    if (nowMs - this.#looked >= limits.overloadLookMs) {
      const now = performance.eventLoopUtilization()
      this.#busy =
        performance.eventLoopUtilization(now, this.#from).utilization * 100 >= limits.overloadPercent
      this.#from = now
      this.#looked = nowMs
    }
    return this.#busy
  }
}
