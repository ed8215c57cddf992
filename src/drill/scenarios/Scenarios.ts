/** Every scenario by name: how it is played, and what it needs. */
import type { Scenario } from "../Stage.ts"
import { killBoth, killHolder, killOwner } from "./Kill.ts"
import type { ScenarioName } from "./Names.ts"

export interface Entry {
  readonly play: Scenario
  /** Of a cluster made for it. */
  readonly replicas: number
}

export const scenarios: Readonly<Partial<Record<ScenarioName, Entry>>> = {
  "kill-owner": { play: killOwner, replicas: 3 },
  "kill-holder": { play: killHolder, replicas: 3 },
  "kill-both": { play: killBoth, replicas: 3 },
}
