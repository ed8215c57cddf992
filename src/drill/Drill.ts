/** `holdfast drill`: plays failure scenarios and prints what clients noticed of them. */
import { Clock, Effect, Logger, LogLevel, type Scope } from "effect"
import type { DrillOptions } from "../cli/Dependencies.ts"
import { CliFailure, usageFailure } from "../cli/Failure.ts"
import { colorOn, print, printJsonLine, say } from "../cli/Output.ts"
import { limits } from "../domain/Limits.ts"
import { CannotRunHere, type DrillError } from "./DrillError.ts"
import { play } from "./Play.ts"
import { isPlayedPlain, plainScenarios, type ScenarioName, scenarioNames } from "./scenarios/Names.ts"
import { entryOf } from "./scenarios/Scenarios.ts"
import { render } from "./score/Render.ts"
import type { Scoreboard } from "./score/Scoreboard.ts"
import * as Elsewhere from "./sites/Elsewhere.ts"
import * as Namespace from "./sites/Namespace.ts"
import * as OwnCluster from "./sites/OwnCluster.ts"
import * as RunningUp from "./sites/RunningUp.ts"
import type { Site } from "./sites/Site.ts"

/** EX_TEMPFAIL of sysexits.h: this machine or account cannot play the scenario. */
const cannotRunHereCode = 75

/** Streams of one sandbox: below the connections that a sandbox takes, with room for probes. */
const streamsPerSandbox = 12

const sandboxesFor = (streams: number): number => Math.max(3, Math.ceil(streams / streamsPerSandbox))

const asFailure = (error: DrillError): CliFailure =>
  new CliFailure({
    what: "the drill cannot go on",
    why: error.message,
    next: "Start a cluster with `holdfast up`, name its directory with --state, or let the drill start one with --local.",
    exitCode: 1,
    cause: error,
  })

const siteOf = (
  name: ScenarioName,
  options: DrillOptions,
): Effect.Effect<Site, DrillError | CannotRunHere, Scope.Scope> => {
  const { replicas, links, idle } = entryOf(name, options)
  const { wire, quick, tls } = options
  if (wire === "openshell" && !(options.local && isPlayedPlain(name))) {
    return Effect.fail(
      new CannotRunHere({
        message: `OpenShell's wire is played with --local, in ${plainScenarios.join(", ")}`,
      }),
    )
  }
  if (options.local)
    return OwnCluster.start({
      ...{ replicas, idle: idle > 0, tls, extensions: wire === "holdfast" },
      drainDeadlineMs:
        wire === "openshell" && quick ? limits.drillQuickDeadlineMs : limits.localDrainDeadlineMs,
      links: links === "unused" ? "none" : Namespace.isInside() ? "packets" : "proxies",
    })
  if (name === "watch") return Elsewhere.find(options.globals)
  if (links === "needed") {
    return Effect.fail(
      new CannotRunHere({
        message: "partition needs a cluster whose network it made: play it with --local",
      }),
    )
  }
  return RunningUp.find(options.stateDirectory)
}

const playOne = (
  name: ScenarioName,
  options: DrillOptions,
): Effect.Effect<Scoreboard, DrillError | CannotRunHere> =>
  Effect.gen(function* () {
    const entry = entryOf(name, options)
    const streams = entry.streams ?? options.streams ?? (options.quick ? 12 : 24)
    const site = yield* siteOf(name, options)
    return yield* play({
      ...{ scenario: name, play: entry.play, prepare: entry.prepare, site, streams },
      sandboxes: streams === 0 ? 0 : (options.sandboxes ?? sandboxesFor(streams)),
      ...{ quick: options.quick, idle: entry.idle, wire: options.wire },
      seed: options.seed ?? (yield* Clock.currentTimeMillis) % 2 ** 31,
      say,
    })
  }).pipe(Effect.scoped)

const skipped = (name: ScenarioName, options: DrillOptions, why: string): Effect.Effect<number> =>
  Effect.zipRight(
    options.json ? printJsonLine({ scenario: name, skipped: why }) : Effect.void,
    Effect.as(say(`SKIPPED ${name}: ${why}`), cannotRunHereCode),
  )

/** Prints what was found; the exit code of this scenario. */
const report = (name: ScenarioName, options: DrillOptions): Effect.Effect<number, CliFailure> =>
  playOne(name, options).pipe(
    Effect.flatMap((board) =>
      Effect.as(
        options.json ? printJsonLine(board) : print(`\n${render(board, colorOn(process.stdout, true))}\n`),
        board.missed.length === 0 ? 0 : 1,
      ),
    ),
    Effect.catchTag("CannotRunHere", ({ message }) => skipped(name, options, message)),
    Effect.catchTag("DrillError", asFailure),
  )

/** The options of the command line again, for the program inside a namespace. */
const argumentsOf = (name: ScenarioName, options: DrillOptions): ReadonlyArray<string> => [
  ...["drill", name, "--local", "--idle", String(options.idle)],
  ...(options.streams === undefined ? [] : ["--streams", String(options.streams)]),
  ...(options.sandboxes === undefined ? [] : ["--sandboxes", String(options.sandboxes)]),
  ...(options.seed === undefined ? [] : ["--seed", String(options.seed)]),
  ...["--wire", options.wire],
  ...(options.tls ? ["--tls"] : []),
  ...(options.quick ? ["--quick"] : []),
  ...(options.json ? ["--json"] : []),
]

/** Where a scenario cuts links, packets are dropped if this account may do that, unless it was told otherwise. */
const reportWhereItCan = (name: ScenarioName, options: DrillOptions): Effect.Effect<number, CliFailure> => {
  const cuts = entryOf(name, options).links !== "unused"
  if (!cuts || !options.local || Namespace.isInside() || options.by === "proxy") return report(name, options)
  const problem = Namespace.missing()
  if (problem === undefined) {
    return Effect.catchTag(Namespace.runInside(argumentsOf(name, options)), "DrillError", asFailure)
  }
  return options.by === "namespace"
    ? skipped(name, options, problem)
    : Effect.zipRight(say(`${problem}; by proxy`), report(name, options))
}

/** A missed threshold outweighs a scenario that cannot be played here. */
const worst = (codes: ReadonlyArray<number>): number =>
  codes.includes(1) ? 1 : codes.includes(cannotRunHereCode) ? cannotRunHereCode : 0

/** Standard output is for results. */
const logs = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

export const runDrill = (options: DrillOptions): Effect.Effect<number, CliFailure> => {
  const { scenario } = options
  const names =
    scenario === "all"
      ? scenarioNames.filter((name) => name !== "watch")
      : scenarioNames.filter((name) => name === scenario)
  if (names.length === 0) return Effect.fail(usageFailure(`there is no scenario ${scenario}`))
  return Effect.forEach(names, (name) => reportWhereItCan(name, options)).pipe(
    Effect.map(worst),
    Logger.withMinimumLogLevel(LogLevel.Warning),
    Effect.provide(logs),
  )
}
