/** Time as the shell sees it; tests put a clock of their own in its place. */
export interface StreamClock {
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number
  /** Runs `task` once after `delayMs`; the answer cancels it. */
  readonly after: (delayMs: number, task: () => void) => () => void
}

/** Longest delay of a Node timer; the task looks again and waits on. */
const longestMs = 2_147_483_647

export const systemClock: StreamClock = {
  nowMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, Math.min(delayMs, longestMs))
    return () => clearTimeout(timer)
  },
}
