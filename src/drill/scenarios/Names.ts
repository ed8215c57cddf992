/** In the order in which `all` plays them. */
export const scenarioNames = [
  "roll",
  "kill-owner",
  "kill-holder",
  "kill-both",
  "freeze",
  "partition",
  "scale",
  "db-restart",
  "db-away",
  "storm",
  "density",
  "watch",
] as const

export type ScenarioName = (typeof scenarioNames)[number]
