/**
 * What each scenario promises, in one table with reasons. Most values are the aims of the resilience proof
 * (docs/resilience.md); what is derived from a limit says so.
 */
import type { DrillWire } from "../../cli/Dependencies.ts"
import { limits } from "../../domain/Limits.ts"
import { isPlayedPlain, type plainScenarios, type ScenarioName } from "../scenarios/Names.ts"

export interface Figures {
  readonly brokenStreams: number
  readonly failedOperations: number
  readonly failedOpens: number
  /** Plain relays that ended although no replica was lost then. */
  readonly untimelyEnds: number
  /** Plain relays that ended with their replica, and with another word than UNAVAILABLE. */
  readonly otherEnds: number
  /** Calls that failed and were not under way when a replica ended. */
  readonly refusedCalls: number
  /** Streams and calls that waited longer than the longest wait that is allowed. */
  readonly hangs: number
  /** Lost, duplicated, reordered and corrupted bytes, and streams with another SHA-256. */
  readonly wrongBytes: number
  readonly stallP99Ms: number
  readonly stallMaxMs: number
  readonly openP99Ms: number
  readonly openMaxMs: number
  /** The slowest open or command that failed. */
  readonly refusalMaxMs: number
  /** Opens that failed without leave to try again. */
  readonly finalRefusals: number
  readonly doubleOwners: number
  readonly staleAnswers: number
  /** Undefined: it did not become whole in time. */
  readonly convergeMs: number | undefined
  readonly skew: number | undefined
  readonly moveRatio: number | undefined
  readonly residentMb: number
  /** Of the largest replica when the measurement of costs ended. */
  readonly idleMb: number | undefined
  /** Of one core, of the busiest replica. */
  readonly cpuPercent: number | undefined
  readonly transactionsPerSecond: number | undefined
}

export type Metric = keyof Figures

export interface Threshold {
  readonly metric: Metric
  readonly most: number
  readonly reason: string
}

export interface Judgement {
  readonly metric: Metric
  readonly most: number
  readonly value: number | null
  readonly met: boolean
  /** What it says in words. */
  readonly text: string
}

const none = (metric: Metric, reason: string): Threshold => ({ metric, most: 0, reason })
const most = (metric: Metric, value: number, reason: string): Threshold => ({ metric, most: value, reason })

const always: ReadonlyArray<Threshold> = [
  none("wrongBytes", "a stream is whole or ends with an error"),
  none("brokenStreams", "streams of our client and supervisor outlive replicas"),
  none("doubleOwners", "one live owner per shard and epoch"),
  none("staleAnswers", "who lost a shard refuses to answer for it"),
]
const served: ReadonlyArray<Threshold> = [
  none("failedOperations", "commands and transfers move to another replica as streams do"),
  none("failedOpens", "every replica that is left reaches every sandbox"),
]
const killed = (stallMs: number): ReadonlyArray<Threshold> => [
  ...always,
  ...served,
  most("stallMaxMs", stallMs, "aim of the proof"),
  most("openP99Ms", 1_000, "aim of the proof: new opens through any survivor"),
]
const silent: ReadonlyArray<Threshold> = [
  ...always,
  ...served,
  most("openMaxMs", limits.leaseMs + 1_000, "takeover within the lease, then an open as after a kill"),
]
const databaseAway: ReadonlyArray<Threshold> = [
  ...always,
  most("refusalMaxMs", 1_000, "aim of the proof: what cannot be opened is refused at once"),
  none("finalRefusals", "aim of the proof: refused with leave to try again"),
  most("convergeMs", 5_000, "aim of the proof: full service after the database's return"),
]

/** Of supervisors and clients without our extensions: a relay is as durable as the replicas that it crosses. */
const plain = (when: string): ReadonlyArray<Threshold> => [
  none("wrongBytes", "a stream is whole or ends with an error"),
  none("refusedCalls", "aim of the proof: who calls is held until the supervisor is back"),
  none("untimelyEnds", `aim of the proof: a relay ends only ${when}`),
  none("otherEnds", "aim of the proof: UNAVAILABLE, so that no client takes it for the end of its stream"),
  none("hangs", "aim of the proof: nothing hangs"),
  none("doubleOwners", "one live owner per shard and epoch"),
  none("staleAnswers", "who lost a shard refuses to answer for it"),
]

const plainTable: Readonly<Record<(typeof plainScenarios)[number], ReadonlyArray<Threshold>>> = {
  roll: plain("at the deadline of its replica's drain"),
  "kill-owner": plain("with its replica"),
  "kill-holder": plain("with its replica"),
  "kill-both": plain("with its replica"),
}

export const thresholdsOf = (name: ScenarioName, wire: DrillWire): ReadonlyArray<Threshold> =>
  wire === "openshell" && isPlayedPlain(name) ? plainTable[name] : thresholdsTable[name]

export const thresholdsTable: Readonly<Record<ScenarioName, ReadonlyArray<Threshold>>> = {
  roll: [
    ...always,
    ...served,
    most("stallP99Ms", 300, "aim of the proof"),
    most("stallMaxMs", 1_000, "aim of the proof"),
  ],
  "kill-owner": killed(3_000),
  "kill-holder": killed(3_000),
  "kill-both": killed(5_000),
  freeze: silent,
  partition: silent,
  scale: [
    ...always,
    ...served,
    most(
      "skew",
      1.1,
      "aim of the proof, within 30 s of each change; over the best that so few sessions allow",
    ),
    most("moveRatio", 1.2, "aim of the proof: moves over the least that the changes need"),
  ],
  "db-restart": databaseAway,
  "db-away": databaseAway,
  storm: [
    ...always,
    ...served,
    most("convergeMs", 30_000, "aim of the proof: all sessions are back"),
    most("residentMb", 1_024, "aim of the proof: no replica above 1 GiB"),
    most("transactionsPerSecond", 500, "aim of the proof; those of the attaches are counted as well"),
  ],
  density: [
    ...always,
    most("idleMb", 512, "aim of the proof, for 10,000 sessions"),
    most("cpuPercent", 5, "aim of the proof, for 10,000 sessions"),
    most("transactionsPerSecond", 50, "aim of the proof, for 10,000 sessions"),
  ],
  watch: [none("wrongBytes", "a stream is whole or ends with an error")],
}

const units: Partial<Record<Metric, string>> = {
  stallP99Ms: " ms",
  stallMaxMs: " ms",
  openP99Ms: " ms",
  openMaxMs: " ms",
  refusalMaxMs: " ms",
  convergeMs: " ms",
  residentMb: " MiB",
  idleMb: " MiB",
  cpuPercent: " %",
}

const words: Readonly<Record<Metric, string>> = {
  brokenStreams: "broken streams",
  failedOperations: "failed operations",
  failedOpens: "failed opens",
  untimelyEnds: "relays that ended out of time",
  otherEnds: "relays that ended otherwise than with UNAVAILABLE",
  refusedCalls: "refused calls",
  hangs: "hangs",
  wrongBytes: "wrong bytes",
  stallP99Ms: "stall p99",
  stallMaxMs: "longest stall",
  openP99Ms: "open p99",
  openMaxMs: "slowest open",
  refusalMaxMs: "slowest refusal",
  finalRefusals: "refusals without leave to try again",
  doubleOwners: "double owners",
  staleAnswers: "stale answers",
  convergeMs: "time to converge",
  skew: "skew",
  moveRatio: "moves over the least",
  residentMb: "largest replica",
  idleMb: "largest replica at rest",
  cpuPercent: "busiest replica",
  transactionsPerSecond: "database transactions a second",
}

const round = (value: number): number => Math.round(value * 100) / 100

/** A figure that nobody measured misses its threshold: the drill did not get that far. */
export const judge = (thresholds: ReadonlyArray<Threshold>, figures: Figures): ReadonlyArray<Judgement> =>
  thresholds.map(({ metric, most: aim }) => {
    const value = figures[metric]
    const met = value !== undefined && value <= aim
    const unit = units[metric] ?? ""
    const shown = value === undefined ? "not reached" : `${round(value)}${unit}`
    const text = `${words[metric]} ${shown} (at most ${aim}${unit})`
    return { metric, most: aim, value: value === undefined ? null : round(value), met, text }
  })
