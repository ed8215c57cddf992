/**
 * How much garbage the heap may gather between two full collections. A share of what lives (V8's own rule) is
 * wrong at both ends: relayed bytes count as heap, so a small heap would be collected every few megabytes of
 * traffic, and a heap with ten thousand sessions would double before anyone looks.
 */
import { constants, PerformanceObserver } from "node:perf_hooks"
import { getHeapStatistics, setFlagsFromString } from "node:v8"
import { Effect, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"

const mebibyte = 1_048_576

/** In percent of what lives: up to a total of `heapTotalMb`, and never less than `heapGarbageMb`. */
export const growthPercent = (liveBytes: number): number => {
  const liveMb = Math.max(1, liveBytes / mebibyte)
  const allowedMb = Math.max(limits.heapGarbageMb, limits.heapTotalMb - liveMb)
  return Math.max(1, Math.round((100 * allowedMb) / liveMb))
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
