/** SIGSTOP of the replica that holds most sessions, for longer than its lease, and SIGCONT. */
import { Effect } from "effect"
import { limits } from "../../domain/Limits.ts"
import { mostFrequent, needReplicas, type Scenario } from "../Stage.ts"

/** Both above the lease, with time for a takeover. */
const frozenMs = (quick: boolean): number => (quick ? limits.leaseMs + 6_000 : 30_000)

export const freeze: Scenario = (stage) =>
  Effect.gen(function* () {
    const names = yield* stage.names
    yield* needReplicas(names, 2)
    const locations = yield* stage.locations
    const name = mostFrequent(locations.flatMap(({ owner, holder }) => [holder, owner])) ?? ""
    const lastsMs = frozenMs(stage.quick)
    yield* stage.setAway(name, true)
    yield* stage.mark(`SIGSTOP of ${name} for ${lastsMs / 1_000} s`)
    yield* stage.controls.freeze(name)
    const thaw = Effect.zipRight(stage.mark(`SIGCONT of ${name}`), stage.controls.thaw(name))
    yield* stage
      .converge(
        names.filter((other) => other !== name),
        lastsMs,
      )
      .pipe(Effect.zip(Effect.sleep(lastsMs), { concurrent: true }), Effect.ensuring(Effect.ignore(thaw)))
    yield* stage.converge(names)
    yield* stage.setAway(name, false)
  })
