/** Every replica is replaced, one after another, as an upgrade does it. */
import { Effect } from "effect"
import { needReplicas, type Scenario } from "../Stage.ts"

export const roll: Scenario = (stage) =>
  Effect.gen(function* () {
    const names = yield* stage.names
    yield* needReplicas(names, 2)
    for (const name of names) {
      yield* stage.setAway(name, true)
      yield* stage.mark(`SIGTERM to ${name}`)
      const sinceMs = performance.now()
      yield* stage.controls.stop(name)
      stage.stopped(sinceMs, performance.now())
      yield* stage.mark(`${name} has ended; start it again`)
      yield* stage.controls.start(name)
      yield* stage.setAway(name, false)
      yield* stage.converge(names)
    }
  })
