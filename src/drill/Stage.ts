/** What a scenario plays on: the cluster's handles, where things are, and a record of what was done. */
import { Effect } from "effect"
import type { GatewayClientService } from "../client/GatewayClient.ts"
import { limits } from "../domain/Limits.ts"
import type { Loss } from "./check/Endings.ts"
import { type CannotRunHere, DrillError } from "./DrillError.ts"
import type { Place } from "./load/LoadStream.ts"
import type { Found, Mark } from "./score/Scoreboard.ts"
import type { Controls, IdleSessions, Site } from "./sites/Site.ts"
import { gauge, type Reading } from "./watch/Gauge.ts"
import type { Prober } from "./watch/Prober.ts"
import type { DirectClients } from "./watch/Replicas.ts"
import { clientOf, type Location, locate, untilWhole } from "./watch/Whole.ts"

export interface StageOptions {
  readonly site: Site
  readonly controls: Controls
  readonly clients: DirectClients
  readonly idle: IdleSessions | undefined
  /** Moves of sessions so far, those of idle ones included. */
  readonly moves: () => number
  readonly prober: Prober
  readonly places: ReadonlyArray<Place>
  readonly quick: boolean
  readonly say: (text: string) => Effect.Effect<void>
}

/** Plays a fault to its end, the repair included. */
export type Scenario = (stage: Stage) => Effect.Effect<void, DrillError | CannotRunHere>

export class Stage {
  readonly controls: Controls
  readonly quick: boolean
  readonly places: ReadonlyArray<Place>
  readonly moves: () => number
  readonly #away = new Set<string>()
  readonly #options: StageOptions
  readonly #startedAtMs = performance.now()
  readonly #marks: Array<Mark> = []
  readonly #failures: Array<string> = []
  readonly #losses: Array<Loss> = []
  #convergeMs: number | undefined = 0
  #skew: number | undefined
  #moveRatio: number | undefined
  #cost: Reading | undefined

  constructor(options: StageOptions) {
    this.#options = options
    this.controls = options.controls
    this.quick = options.quick
    this.places = options.places
    this.moves = options.moves
  }

  /** Names of the replicas that run, in order. */
  get names(): Effect.Effect<ReadonlyArray<string>, DrillError> {
    return Effect.map(this.#options.site.replicas, (replicas) => replicas.map(({ name }) => name))
  }

  get locations(): Effect.Effect<ReadonlyArray<Location>, DrillError> {
    return Effect.flatMap(this.client, (client) => locate(client, this.places))
  }

  /** Of a replica that should work. */
  get client(): Effect.Effect<GatewayClientService, DrillError> {
    const { site, clients } = this.#options
    return Effect.flatMap(this.names, (names) =>
      clientOf(
        site,
        clients,
        names.filter((name) => !this.#away.has(name)),
      ),
    )
  }

  /** Writes down what happens now. */
  mark(what: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const atMs = Math.round(performance.now() - this.#startedAtMs)
      this.#marks.push({ atMs, what })
      return this.#options.say(`${(atMs / 1_000).toFixed(1).padStart(6)} s  ${what}`)
    })
  }

  /** Whether opens through a replica are expected to work. */
  setAway(name: string, away: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#options.prober.setAway(name, away)
      if (away) this.#away.add(name)
      else this.#away.delete(name)
    })
  }

  /**
   * Waits until these replicas are ready, every sandbox has its session at one of them, and opens through each
   * succeed. That it takes too long is a finding and not an error.
   */
  converge(names: ReadonlyArray<string>, withinMs = limits.drillConvergeMs): Effect.Effect<void> {
    const { site, clients, prober, places, idle } = this.#options
    return untilWhole({ site, clients, prober, places, idle, names }, withinMs).pipe(
      Effect.matchEffect({
        onSuccess: (tookMs) => {
          this.#convergeMs = this.#convergeMs === undefined ? undefined : Math.max(this.#convergeMs, tookMs)
          return this.mark(`whole with ${names.length} replicas after ${Math.ceil(tookMs)} ms`)
        },
        onFailure: (error) => {
          this.#convergeMs = undefined
          this.#failures.push(`not whole within ${withinMs / 1_000} s: ${error.message}`)
          return this.mark(`not whole: ${error.message}`)
        },
      }),
    )
  }

  /** A replica was stopped: what could not move ended with it, at its drain's deadline. Times as of performance.now(). */
  stopped(sinceMs: number, goneMs: number): void {
    const { drainDeadlineMs = 0 } = this.#options.site
    this.#losses.push({ fromMs: sinceMs + drainDeadlineMs - limits.drillDeadlineSlackMs, goneMs })
  }

  /** A replica was killed. */
  killed(sinceMs: number, goneMs: number): void {
    this.#losses.push({ fromMs: sinceMs, goneMs })
  }

  /** The worst of all changes counts. */
  foundSkew(skew: number): void {
    this.#skew = Math.max(this.#skew ?? 0, skew)
  }

  /** Starts to measure what the cluster costs; the effect it returns ends that. */
  get gauge(): Effect.Effect<Effect.Effect<Reading, DrillError>, DrillError> {
    return gauge(this.#options.site)
  }

  foundCost(reading: Reading): void {
    this.#cost = reading
  }

  foundMoveRatio(ratio: number): void {
    this.#moveRatio = ratio
  }

  failed(what: string): void {
    this.#failures.push(what)
    this.#convergeMs = undefined
  }

  get found(): Found {
    return {
      convergeMs: this.#convergeMs,
      skew: this.#skew,
      moveRatio: this.#moveRatio,
      cost: this.#cost,
      losses: this.#losses,
      marks: this.#marks,
      failures: this.#failures,
    }
  }
}

/** The most frequent word; undefined of nothing. */
export const mostFrequent = (words: ReadonlyArray<string>): string | undefined =>
  [...new Set(words)]
    .filter((word) => word !== "")
    .toSorted((left, right) => count(words, right) - count(words, left))[0]

const count = (words: ReadonlyArray<string>, wanted: string): number =>
  words.filter((word) => word === wanted).length

export const needReplicas = (names: ReadonlyArray<string>, least: number): Effect.Effect<void, DrillError> =>
  names.length >= least
    ? Effect.void
    : Effect.fail(
        new DrillError({
          message: `the scenario needs ${least} replicas and the cluster has ${names.length}`,
        }),
      )
