/** Every scenario by name: how it is played, and what it needs. */
import { Effect } from "effect"
import type { DrillOptions } from "../../cli/Dependencies.ts"
import type { Scenario } from "../Stage.ts"
import { databaseAway, databaseRestart } from "./Database.ts"
import { freeze } from "./Freeze.ts"
import { killBoth, killHolder, killOwner, storm } from "./Kill.ts"
import type { ScenarioName } from "./Names.ts"
import { partition } from "./Partition.ts"
import { roll } from "./Roll.ts"
import { scale } from "./Scale.ts"

export interface Entry {
  readonly play: Scenario
  /** Of a cluster made for it. */
  readonly replicas: number
  /** Whether the links of its replicas must be such that they can be cut, or had better be. */
  readonly links: "needed" | "used" | "unused"
}

const watch =
  (forMs: number): Scenario =>
  (stage) =>
    Effect.gen(function* () {
      yield* stage.mark(`watching for ${forMs / 1_000} s: cause the fault now`)
      yield* Effect.sleep(forMs)
      yield* stage.mark("watched")
    })

const plays: Readonly<Record<Exclude<ScenarioName, "watch">, Scenario>> = {
  roll,
  "kill-owner": killOwner,
  "kill-holder": killHolder,
  "kill-both": killBoth,
  freeze,
  partition,
  scale,
  "db-restart": databaseRestart,
  "db-away": databaseAway,
  storm,
}

export const entryOf = (name: ScenarioName, options: DrillOptions): Entry => ({
  play: name === "watch" ? watch(options.forMs) : plays[name],
  replicas: name === "scale" ? 1 : 3,
  links: name === "partition" ? "needed" : name === "db-away" ? "used" : "unused",
})
