/** Restarts one replica after the other, gracefully, until it is told to end. */
import type { TestCluster } from "../kit/Cluster.ts"

const pauseMs = 2_000

export interface Roll {
  readonly restarts: () => number
  /** Ends after the restart that runs; rejects if one failed. */
  readonly end: () => Promise<void>
}

export const roll = (cluster: TestCluster): Roll => {
  let ended = false
  let restarts = 0
  const running = (async () => {
    while (!ended)
      for (const name of cluster.names) {
        if (ended) return
        await cluster.restart(name)
        restarts += 1
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
  })()
  running.catch(() => {})
  return {
    restarts: () => restarts,
    end: () => {
      ended = true
      return running
    },
  }
}
