/**
 * How much garbage the heap may gather between two full collections. A share of what lives (V8's own rule) is
 * wrong at both ends: relayed bytes count as heap, so a small heap would be collected every few megabytes of
 * traffic, and a heap with ten thousand sessions would double before anyone looks.
 */
import { constants, PerformanceObserver, performance } from "node:perf_hooks"
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Effect, Schedule, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"

const mebibyte = 1_048_576

/** In percent of what lives: up to a total of `heapTotalMb`, and never less than `heapGrowthLeastPercent`. */
export const growthPercent = (liveBytes: number): number => {
  const liveMb = Math.max(1, liveBytes / mebibyte)
  return Math.max(limits.heapGrowthLeastPercent, Math.round((100 * (limits.heapTotalMb - liveMb)) / liveMb))
}

const apply = (): void =>
  setFlagsFromString(`--heap-growing-percent=${growthPercent(getHeapStatistics().used_heap_size)}`)

/** `detail.kind` of a garbage collection; node types entries without it. */
const isFullCollection = (entry: object): boolean => {
  const detail: unknown = Reflect.get(entry, "detail")
  return (
    typeof detail === "object" &&
    detail !== null &&
    Reflect.get(detail, "kind") === constants.NODE_PERFORMANCE_GC_MAJOR
  )
}

/** Follows the size of what lives until the scope closes: V8 reads the flag at the end of each full collection. */
export const boundHeapGrowth: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => {
      apply()
      const observer = new PerformanceObserver((list) => {
        if (list.getEntries().some(isFullCollection)) apply()
      })
      observer.observe({ entryTypes: ["gc"] })
      return observer
    }),
    (observer) => Effect.sync(() => observer.disconnect()),
  ),
)

type Collect = (options: { readonly type: "major"; readonly flavor: "last-resort" }) => void

const isFunction = (value: unknown): value is Collect => typeof value === "function"

/** The engine's own collection, which Node shows only to contexts made after it was asked for. */
const collector = (): (() => void) => {
  setFlagsFromString("--expose-gc")
  const found: unknown = runInNewContext("gc")
  // In one pass the engine would keep what only finalizers release: sockets and HTTP/2 sessions that are gone.
  return isFunction(found) ? () => found({ type: "major", flavor: "last-resort" }) : () => undefined
}

/**
 * Gives memory back after a burst, such as the return of thousands of sessions: a process that is nearly idle
 * allocates too little to come to its next full collection by itself. It pauses the process for a tenth of a
 * second, so it waits until hardly anything happens.
 */
export const trimWhenQuiet: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function* () {
  const collect = collector()
  let last = performance.eventLoopUtilization()
  let keptBytes = getHeapStatistics().used_heap_size
  const look = Effect.sync(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    const { used_heap_size: used, total_heap_size: total } = getHeapStatistics()
    keptBytes = Math.min(keptBytes, used)
    const spareBytes = Math.max(used - keptBytes, total - used)
    if (utilization * 100 > limits.heapQuietPercent || spareBytes < limits.heapGarbageMb * mebibyte) return
    collect()
    keptBytes = getHeapStatistics().used_heap_size
  })
  yield* look.pipe(
    Effect.repeat(Schedule.spaced(limits.heapLookMs)),
    Effect.delay(limits.heapLookMs),
    Effect.forkScoped,
  )
})
