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

/** In which supervisors and clients may speak OpenShell's wire alone. */
export const plainScenarios = ["roll", "kill-owner", "kill-holder", "kill-both"] as const

export const isPlayedPlain = (name: ScenarioName): name is (typeof plainScenarios)[number] =>
  plainScenarios.some((scenario) => scenario === name)
