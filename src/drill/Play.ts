/** One scenario on one cluster: load, fault, repair, end, scoreboard. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Clock, Effect } from "effect"
import type { DrillWire } from "../cli/Dependencies.ts"
import type { Endpoint } from "../client/Endpoint.ts"
import { GatewayClient } from "../client/GatewayClient.ts"
import { limits } from "../domain/Limits.ts"
import { CannotRunHere, DrillError } from "./DrillError.ts"
import * as Load from "./load/Load.ts"
import type { Pace } from "./load/LoadStream.ts"
import { prepareSandboxes } from "./load/Sandboxes.ts"
import { type Scenario, Stage } from "./Stage.ts"
import type { ScenarioName } from "./scenarios/Names.ts"
import { type Scoreboard, scoreboard } from "./score/Scoreboard.ts"
import { thresholdsOf } from "./score/Thresholds.ts"
import type { Controls, IdleSessions, Site } from "./sites/Site.ts"
import { watchMemory } from "./watch/Memory.ts"
import * as Owners from "./watch/Owners.ts"
import * as Prober from "./watch/Prober.ts"
import { directClients } from "./watch/Replicas.ts"

export interface PlayOptions {
  readonly scenario: ScenarioName
  readonly play: Scenario
  /** Before there are any sandboxes and sessions. */
  readonly prepare: ((site: Site) => Effect.Effect<void, DrillError>) | undefined
  readonly site: Site
  readonly streams: number
  readonly sandboxes: number
  /** Sessions that nobody uses, besides those of the sandboxes. */
  readonly idle: number
  readonly quick: boolean
  readonly wire: DrillWire
  readonly seed: number
  readonly say: (text: string) => Effect.Effect<void>
}

const paceOf = ({ streams, quick }: PlayOptions): Pace => ({
  // All streams together send some 250 pieces a second at most, which with short commands and transfers is half of
  // two cores. A larger load would keep them busy, and then stalls would tell of the load and not of the fault.
  intervalMs: Math.max(50, streams * 4),
  pieceBytes: 1_024,
  fileBytes: quick ? 262_144 : 1_048_576,
  outputMs: quick ? 2_000 : 10_000,
})

/** Before the fault and after the repair. */
const calmMs = (quick: boolean): number => (quick ? 500 : 3_000)

const scratchDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(path.join(tmpdir(), "holdfast-drill-load-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true })),
)

const loopDelay = Effect.acquireRelease(
  Effect.sync(() => {
    const histogram = monitorEventLoopDelay({ resolution: 10 })
    histogram.enable()
    return histogram
  }),
  (histogram) => Effect.sync(() => histogram.disable()),
)

const movesOf = (idle: IdleSessions | undefined): number =>
  idle === undefined ? 0 : idle.attaches() - idle.count

const milliseconds = (nanoseconds: number): number => Math.round(nanoseconds / 1e6)

/** A scenario that cannot go on is a finding: the load goes on to its end, and the scoreboard says why. */
const playTo = (stage: Stage, play: Scenario): Effect.Effect<void, CannotRunHere> =>
  play(stage).pipe(
    Effect.catchTag("DrillError", (error) =>
      Effect.zipRight(
        Effect.sync(() => stage.failed(error.message)),
        stage.mark(error.message),
      ),
    ),
  )

const idleSessions = ({ site, idle, say }: PlayOptions) =>
  Effect.gen(function* () {
    if (idle === 0) return undefined
    if (site.idleSessions === undefined) {
      return yield* new CannotRunHere({
        message: "idle sessions need a cluster that runs no sandboxes itself: play it with --local",
      })
    }
    yield* say(`opening ${idle} idle sessions …`)
    return yield* site.idleSessions(idle)
  })

const unreachable = new DrillError({
  message: "the processes of this cluster cannot be reached from here",
})

const noControls: Controls = {
  kill: () => unreachable,
  stop: () => unreachable,
  start: () => unreachable,
  freeze: () => unreachable,
  thaw: () => unreachable,
  add: unreachable,
  database: { stop: unreachable, start: unreachable },
  links: undefined,
}

export const play = (options: PlayOptions): Effect.Effect<Scoreboard, DrillError | CannotRunHere> =>
  Effect.gen(function* () {
    const { site, quick, seed, say, scenario, wire } = options
    // Questions about the cluster are always ours.
    const endpoint: Endpoint = { ...site.endpoint, ...(wire === "openshell" ? { extensions: false } : {}) }
    const startedAtMs = performance.now()
    const directory = yield* scratchDirectory
    const client = yield* GatewayClient.make({ endpoint: site.endpoint, workspace: site.workspace })
    const replicas = yield* site.replicas
    yield* options.prepare?.(site) ?? Effect.void
    yield* say(`${scenario}: preparing ${options.sandboxes} sandboxes …`)
    const places = yield* prepareSandboxes(client, {
      count: options.sandboxes,
      prefix: `drill-${seed.toString(36).slice(-4)}`,
      keep: site.disposable,
      run: site.run ?? (() => Effect.void),
    })
    const idle = yield* idleSessions(options)
    const prober = yield* Prober.start({ ...site, endpoint }, places)
    const clients = yield* directClients(site, limits.drillAskMs)
    const owners = yield* Owners.start(site, places)
    const load = yield* Load.start({
      ...{ endpoint, workspace: site.workspace, places, seed, directory },
      streams: options.streams,
      pace: paceOf(options),
    })
    yield* load.working
    yield* say(`${options.streams} streams work`)
    yield* Effect.sleep(calmMs(quick))

    const residentMb = yield* watchMemory(site)
    const delay = yield* loopDelay
    yield* load.beginWindow
    prober.beginWindow()
    const windowAtMs = performance.now()
    const stage = new Stage({
      ...{ site, controls: site.controls ?? noControls, clients, prober, places, quick, say },
      ...{ moves: () => owners.moves() + movesOf(idle), idle },
    })
    yield* playTo(stage, options.play)
    yield* Effect.sleep(calmMs(quick))
    const opens = [...prober.samples()]
    yield* say("ending the streams …")
    yield* load.stop
    return scoreboard(
      {
        setting: {
          ...{
            scenario,
            wire,
            quick,
            seed,
            idleSessions: options.idle,
            tls: site.endpoint.tls !== undefined,
          },
          replicas: replicas.length,
          sandboxes: places.length,
        },
        date: new Date(yield* Clock.currentTimeMillis).toISOString(),
        seconds: (performance.now() - startedAtMs) / 1_000,
        streams: load.report(),
        ...{ opens, windowAtMs },
        ownership: owners.ownership,
        moves: stage.moves(),
        residentMb: residentMb(),
        found: stage.found,
        loopDelay: { p99Ms: milliseconds(delay.percentile(99)), maxMs: milliseconds(delay.max) },
      },
      thresholdsOf(scenario, wire),
    )
  }).pipe(Effect.scoped)
