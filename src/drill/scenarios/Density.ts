/** Nothing happens: what sessions that nobody uses cost the one replica that holds them. */
import { Effect } from "effect"
import type { Scenario } from "../Stage.ts"

/** For the heap to be trimmed after the sessions came, and their last reconnects to be over. */
const settleMs = (quick: boolean): number => (quick ? 5_000 : 45_000)
/** Two heartbeats of every session. */
const windowMs = (quick: boolean): number => (quick ? 5_000 : 120_000)

export const density: Scenario = (stage) =>
  Effect.gen(function* () {
    const settle = settleMs(stage.quick)
    yield* stage.mark(`all sessions are up: left alone for ${settle / 1_000} s`)
    yield* Effect.sleep(settle)
    const window = windowMs(stage.quick)
    yield* stage.mark(`measuring for ${window / 1_000} s`)
    const end = yield* stage.gauge
    yield* Effect.sleep(window)
    stage.foundCost(yield* end)
    yield* stage.converge(yield* stage.names)
  })
