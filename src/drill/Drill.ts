/** `holdfast drill`: plays failure scenarios and prints what clients noticed of them. */
import { Effect, type Scope } from "effect"
import type { DrillOptions } from "../cli/Dependencies.ts"
import { CliFailure, usageFailure } from "../cli/Failure.ts"
import { colorOn, print, say } from "../cli/Output.ts"
import type { CannotRunHere, DrillError } from "./DrillError.ts"
import { play } from "./Play.ts"
import { type ScenarioName, scenarioNames } from "./scenarios/Names.ts"
import { scenarios } from "./scenarios/Scenarios.ts"
import { render } from "./score/Render.ts"
import type { Scoreboard } from "./score/Scoreboard.ts"
import * as OwnCluster from "./sites/OwnCluster.ts"

/** EX_TEMPFAIL of sysexits.h: this machine or account cannot play the scenario. */
const cannotRunHereCode = 75

/** Streams of one sandbox: below the connections that a sandbox takes, with room for probes. */
const streamsPerSandbox = 12

const sandboxesFor = (streams: number): number => Math.max(3, Math.ceil(streams / streamsPerSandbox))

const isScenario = (name: string): name is ScenarioName => scenarioNames.some((known) => known === name)

const asFailure = (error: DrillError): CliFailure =>
  new CliFailure({ what: "the drill cannot go on", why: error.message, exitCode: 1, cause: error })

const playOne = (
  name: ScenarioName,
  options: DrillOptions,
): Effect.Effect<Scoreboard, DrillError | CannotRunHere | CliFailure> =>
  Effect.gen(function* () {
    const entry = scenarios[name]
    if (entry === undefined) return yield* usageFailure(`there is no scenario ${name}`)
    const streams = options.streams ?? (options.quick ? 12 : 24)
    const site = yield* OwnCluster.start({ replicas: entry.replicas })
    const { controls } = site
    if (controls === undefined) return yield* usageFailure("no controls")
    return yield* play({
      ...{ scenario: name, play: entry.play, site, controls, streams },
      sandboxes: options.sandboxes ?? sandboxesFor(streams),
      quick: options.quick,
      seed: options.seed ?? Date.now() % 2 ** 31,
      say,
    })
  }).pipe(Effect.scoped)

export const runDrill = (options: DrillOptions): Effect.Effect<number, CliFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const { scenario } = options
    if (!isScenario(scenario)) return yield* usageFailure(`there is no scenario ${scenario}`)
    const board = yield* playOne(scenario, options).pipe(Effect.catchTag("DrillError", asFailure))
    if (options.json) yield* print(`${JSON.stringify(board)}\n`)
    else yield* print(`\n${render(board, colorOn(process.stdout, true))}`)
    return board.missed.length === 0 ? 0 : 1
  }).pipe(
    Effect.catchTag("CannotRunHere", (error) =>
      Effect.zipRight(say(`SKIPPED: ${error.message}`), Effect.succeed(cannotRunHereCode)),
    ),
  )
