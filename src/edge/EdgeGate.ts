import { Effect } from "effect"
import { StaleEpoch } from "../domain/Errors.ts"
import { EpochGate, type Fence } from "../domain/Fence.ts"
import type { Metrics } from "../observe/Metrics.ts"

/** Lets messages of owners pass, and refuses and counts those of an owner that a later one has replaced. */
export const makeEdgeGate = (metrics: Metrics["Type"]) => {
  const gate = new EpochGate()
  return {
    refused: () => gate.refused,
    admit: (fence: Fence): Effect.Effect<void, StaleEpoch> =>
      Effect.suspend(() => {
        if (gate.admit(fence)) return Effect.void
        metrics.epochsRefused.inc()
        return Effect.fail(
          new StaleEpoch({
            message: `epoch ${fence.epoch} of shard ${fence.shard} is over`,
            ...fence,
            seen: gate.seen(fence.shard),
          }),
        )
      }),
  } as const
}
