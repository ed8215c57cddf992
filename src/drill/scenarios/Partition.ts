/**
 * The replica that holds most sessions is cut off from the other replicas and from Postgres: first nothing it says
 * reaches them, then nothing they say reaches it, then neither. Clients and supervisors still reach it.
 */
import { Effect } from "effect"
import { limits } from "../../domain/Limits.ts"
import { CannotRunHere, type DrillError } from "../DrillError.ts"
import { mostFrequent, needReplicas, type Scenario, type Stage } from "../Stage.ts"
import type { Cut, Links } from "../sites/Site.ts"

/** Above the lease, with time for a takeover. */
const cutMs = (quick: boolean): number => (quick ? limits.leaseMs + 6_000 : 30_000)

const words: Readonly<Record<Cut, string>> = {
  outgoing: "nothing it sends arrives",
  incoming: "nothing arrives at it",
  both: "nothing passes either way",
}

const cutOff = (stage: Stage, links: Links, cut: Cut): Effect.Effect<void, DrillError> =>
  Effect.gen(function* () {
    const names = yield* stage.names
    const locations = yield* stage.locations
    const name = mostFrequent(locations.map(({ holder }) => holder)) ?? ""
    const lastsMs = cutMs(stage.quick)
    yield* stage.setAway(name, true)
    yield* stage.mark(`cut ${name} off for ${lastsMs / 1_000} s: ${words[cut]}`)
    yield* links.cut(name, cut)
    yield* stage
      .converge(
        names.filter((other) => other !== name),
        lastsMs,
      )
      .pipe(
        Effect.zip(Effect.sleep(lastsMs), { concurrent: true }),
        Effect.ensuring(Effect.ignore(links.heal(name))),
      )
    yield* stage.mark(`${name} is connected again`)
    yield* stage.converge(names)
    yield* stage.setAway(name, false)
  })

export const partition: Scenario = (stage) =>
  Effect.gen(function* () {
    const { links } = stage.controls
    if (links === undefined) {
      return yield* new CannotRunHere({ message: "this cluster's links cannot be cut" })
    }
    yield* needReplicas(yield* stage.names, 3)
    const cuts: ReadonlyArray<Cut> = stage.quick ? ["both"] : ["outgoing", "incoming", "both"]
    for (const cut of cuts) yield* cutOff(stage, links, cut)
  })
