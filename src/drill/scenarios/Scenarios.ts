/** Every scenario by name: how it is played, and what it needs. */
import { Effect } from "effect"
import type { DrillOptions } from "../../cli/Dependencies.ts"
import type { DrillError } from "../DrillError.ts"
import type { Scenario } from "../Stage.ts"
import type { Site } from "../sites/Site.ts"
import { databaseAway, databaseRestart } from "./Database.ts"
import { density } from "./Density.ts"
import { freeze } from "./Freeze.ts"
import { killBoth, killHolder, killOwner, storm, stormOnOne } from "./Kill.ts"
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
  /** Sessions that nobody uses. */
  readonly idle: number
  /** In place of what the command or the default says. */
  readonly streams?: number
  /** Before there are any sessions. */
  readonly prepare?: (site: Site) => Effect.Effect<void, DrillError>
}

const watch =
  (forMs: number): Scenario =>
  (stage) =>
    Effect.gen(function* () {
      yield* stage.mark(`watching for ${forMs / 1_000} s: cause the fault now`)
      yield* Effect.sleep(forMs)
      yield* stage.mark("watched")
    })

const plays: Readonly<Record<Exclude<ScenarioName, "watch" | "storm" | "scale" | "density">, Scenario>> = {
  roll,
  "kill-owner": killOwner,
  "kill-holder": killHolder,
  "kill-both": killBoth,
  freeze,
  partition,
  "db-restart": databaseRestart,
  "db-away": databaseAway,
}

/** Sessions of scenarios that are about many, where the command names no number. */
const many = ({ idle, quick }: DrillOptions): number => (idle > 0 ? idle : quick ? 500 : 10_000)

export const entryOf = (name: ScenarioName, options: DrillOptions): Entry => {
  const links = name === "partition" ? "needed" : name === "db-away" ? "used" : "unused"
  const usual = { replicas: 3, links, idle: options.idle } as const
  switch (name) {
    case "watch":
      return { ...usual, play: watch(options.forMs) }
    case "scale":
      return { ...usual, play: scale, replicas: 1 }
    case "density":
      return { ...usual, play: density, replicas: 1, idle: many(options), streams: 0 }
    case "storm":
      return options.local ? { ...usual, ...stormOnOne(), idle: many(options) } : { ...usual, play: storm }
    default:
      return { ...usual, play: plays[name] }
  }
}
