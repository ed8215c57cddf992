/** What a drill found, as numbers. Pure: reports go in, the scoreboard comes out. */
import type { DrillWire } from "../../cli/Dependencies.ts"
import { limits } from "../../domain/Limits.ts"
import { type Ending, judgeEndings, type Loss, type Verdict } from "../check/Endings.ts"
import type { Ownership } from "../check/Ownership.ts"
import type { StreamReport } from "../load/Load.ts"
import { type Kind, kinds } from "../load/LoadStream.ts"
import { total } from "../load/Tally.ts"
import type { Reading } from "../watch/Gauge.ts"
import type { OpenSample } from "../watch/Prober.ts"
import { type Spread, spreadOf } from "./Figures.ts"
import { type Judgement, judge, type Threshold } from "./Thresholds.ts"

export interface Mark {
  /** Since the start of the fault. */
  readonly atMs: number
  readonly what: string
}

/** What the scenario itself measured. */
export interface Found {
  /** Longest time until the cluster was whole after a step of the fault; undefined when it did not become whole. */
  readonly convergeMs: number | undefined
  /** Worst after any change, over the best that so many sessions allow. Undefined where nobody measures it. */
  readonly skew: number | undefined
  /** Moves of sessions over the least that the changes need. Undefined where nobody measures it. */
  readonly moveRatio: number | undefined
  /** What the cluster cost while the scenario measured it. Undefined where nobody did. */
  readonly cost: Reading | undefined
  /** Replicas that ended, and with them what could not move. */
  readonly losses: ReadonlyArray<Loss>
  readonly marks: ReadonlyArray<Mark>
  /** What kept a step from its end. */
  readonly failures: ReadonlyArray<string>
}

export interface Setting {
  readonly scenario: string
  readonly wire: DrillWire
  readonly quick: boolean
  readonly seed: number
  readonly replicas: number
  readonly sandboxes: number
  readonly idleSessions: number
  readonly tls: boolean
}

export interface Measured {
  readonly setting: Setting
  readonly date: string
  readonly seconds: number
  readonly streams: ReadonlyArray<StreamReport>
  readonly opens: ReadonlyArray<OpenSample>
  /** What the times of opens count from, of the clock of the endings. */
  readonly windowAtMs: number
  readonly ownership: Pick<Ownership, "answers" | "double" | "stale">
  readonly moves: number
  readonly found: Found
  /** The most that one replica had; 0 where that cannot be seen. */
  readonly residentMb: number
  /** How late timers of this process fired: stalls contain it. */
  readonly loopDelay: { readonly p99Ms: number; readonly maxMs: number }
}

export interface Scoreboard extends Setting {
  readonly date: string
  readonly seconds: number
  readonly streams: Readonly<Partial<Record<Kind, number>>> & { readonly total: number }
  readonly errors: {
    readonly total: number
    /** Long-lived streams that were at work and broke off. */
    readonly streams: number
    /** Commands and transfers that failed, and streams that could not be opened. */
    readonly operations: number
    /** Opens through replicas that should work. */
    readonly opens: number
    readonly texts: ReadonlyArray<{ readonly text: string; readonly times: number }>
  }
  /** Of streams that broke off and calls that failed: how and when. */
  readonly endings: Verdict & {
    /** Streams and calls that waited longer than the longest wait that is allowed. */
    readonly hangs: number
  }
  readonly bytes: {
    readonly received: number
    readonly lost: number
    readonly duplicated: number
    readonly reordered: number
    readonly corrupted: number
    /** Streams whose SHA-256 is not that of what was sent. */
    readonly hashMismatches: number
  }
  readonly operations: number
  /** Of long-lived streams: the longest wait of each. */
  readonly stallMs: Spread
  readonly stallMaxMsByKind: Readonly<Partial<Record<Kind, number>>>
  readonly operationMs: Spread
  /** Of opens that succeeded. */
  readonly openMs: Spread
  /** The slowest ones, failed or not. */
  readonly slowOpens: ReadonlyArray<OpenSample>
  /**
   * Opens and commands that failed: how long the slowest took; of opens, which they were and how many gave no reason to
   * try again.
   */
  readonly refusals: {
    readonly maxMs: number
    readonly final: number
    readonly slowest: ReadonlyArray<OpenSample>
  }
  readonly owners: { readonly answers: number; readonly double: number; readonly stale: number }
  readonly convergeMs: number | null
  readonly sessionMoves: number
  readonly moveRatio: number | null
  readonly skew: number | null
  /** Of the largest replica, at its largest; 0 where that cannot be seen. */
  readonly residentMb: number
  /** While the scenario measured it; null where none does. */
  readonly cost: Reading | null
  readonly loopDelay: { readonly p99Ms: number; readonly maxMs: number }
  readonly faults: ReadonlyArray<Mark>
  readonly thresholds: ReadonlyArray<Judgement>
  /** Names of the thresholds that were missed, and what kept the drill from its end. Empty: exit code 0. */
  readonly missed: ReadonlyArray<string>
}

const textsShown = 12
const slowOpensShown = 5

const slowestOf = (opens: ReadonlyArray<OpenSample>): ReadonlyArray<OpenSample> =>
  opens
    .toSorted((left, right) => right.tookMs - left.tookMs)
    .slice(0, slowOpensShown)
    .map((open) => ({ ...open, tookMs: Math.ceil(open.tookMs) }))

/** Refusals after which a client may try again, as the library words them. */
const isRetryable = (text: string): boolean =>
  /^(Unavailable|LimitReached|ConnectFailed|StaleEpoch): /.test(text)

const round = (value: number): number => Math.round(value * 100) / 100

const roundedCost = (cost: Reading | undefined): Reading | null =>
  cost === undefined
    ? null
    : {
        ...cost,
        seconds: round(cost.seconds),
        cpuPercent: round(cost.cpuPercent),
        transactionsPerSecond:
          cost.transactionsPerSecond === undefined ? undefined : round(cost.transactionsPerSecond),
      }

const byKind = <A>(
  streams: ReadonlyArray<StreamReport>,
  of: (reports: ReadonlyArray<StreamReport>) => A | undefined,
): Partial<Record<Kind, A>> =>
  Object.fromEntries(
    kinds.flatMap((kind) => {
      const reports = streams.filter((report) => report.kind === kind)
      const value = reports.length === 0 ? undefined : of(reports)
      return value === undefined ? [] : [[kind, value]]
    }),
  )

const stallsOf = (reports: ReadonlyArray<StreamReport>): ReadonlyArray<number> =>
  reports.flatMap(({ stallMs }) => (stallMs === undefined ? [] : [stallMs]))

/** A caller is held for so long until the supervisor is back, and then answered. */
const isHang = (ms: number): boolean => ms > limits.sessionWaitMs + limits.drillEndMs

const endingsOf = ({ streams, opens, windowAtMs, found }: Measured): Scoreboard["endings"] => {
  const refusals = opens.flatMap(({ atMs, tookMs, error }): ReadonlyArray<Ending> => {
    const startedAtMs = windowAtMs + atMs
    return error === undefined
      ? []
      : [{ startedAtMs, endedAtMs: startedAtMs + tookMs, carried: false, text: error }]
  })
  const waits = [
    ...streams.flatMap(({ stallMs, latenciesMs }) => [stallMs ?? 0, ...latenciesMs]),
    ...opens.map(({ tookMs }) => tookMs),
  ]
  const endings = [...streams.flatMap((stream) => stream.endings), ...refusals]
  return { ...judgeEndings(endings, found.losses), hangs: waits.filter(isHang).length }
}

const failedCommandsMs = (streams: ReadonlyArray<StreamReport>): ReadonlyArray<number> =>
  streams
    .filter(({ kind }) => kind === "exec")
    .flatMap(({ endings }) => endings.map(({ startedAtMs, endedAtMs }) => endedAtMs - startedAtMs))

const textsOf = (measured: Measured) => {
  const texts = new Map(total(measured.streams.map(({ counts }) => counts)).errorTexts)
  for (const { error } of measured.opens) {
    if (error !== undefined) texts.set(`open: ${error}`, (texts.get(`open: ${error}`) ?? 0) + 1)
  }
  return [...texts]
    .map(([text, times]) => ({ text, times }))
    .sort((left, right) => right.times - left.times)
    .slice(0, textsShown)
}

export const scoreboard = (measured: Measured, thresholds: ReadonlyArray<Threshold>): Scoreboard => {
  const { streams, opens, ownership, found } = measured
  const counts = total(streams.map((report) => report.counts))
  const { lost, duplicated, reordered, corrupted, received } = counts.bytes
  const failedOpens = opens.filter(({ error }) => error !== undefined)
  const stallMs = spreadOf(stallsOf(streams))
  const openMs = spreadOf(opens.flatMap(({ error, tookMs }) => (error === undefined ? [tookMs] : [])))
  const refusals = {
    maxMs: Math.ceil(Math.max(0, ...failedOpens.map(({ tookMs }) => tookMs), ...failedCommandsMs(streams))),
    slowest: slowestOf(failedOpens),
    final: failedOpens.filter(({ error }) => !isRetryable(error ?? "")).length,
  }
  const endings = endingsOf(measured)
  const judgements = judge(thresholds, {
    brokenStreams: counts.brokenStreams,
    failedOperations: counts.failedOperations,
    failedOpens: failedOpens.length,
    untimelyEnds: endings.untimely,
    otherEnds: endings.otherwise,
    refusedCalls: endings.refused,
    hangs: endings.hangs,
    wrongBytes: lost + duplicated + reordered + corrupted + counts.hashMismatches,
    stallP99Ms: stallMs.p99,
    stallMaxMs: stallMs.max,
    openP99Ms: openMs.p99,
    openMaxMs: openMs.max,
    refusalMaxMs: refusals.maxMs,
    finalRefusals: refusals.final,
    doubleOwners: ownership.double,
    staleAnswers: ownership.stale,
    convergeMs: found.convergeMs,
    skew: found.skew,
    moveRatio: found.moveRatio,
    residentMb: measured.residentMb,
    idleMb: found.cost?.residentMb,
    cpuPercent: found.cost?.cpuPercent,
    transactionsPerSecond: found.cost?.transactionsPerSecond,
  })
  return {
    ...measured.setting,
    date: measured.date,
    seconds: round(measured.seconds),
    streams: { ...byKind(streams, (reports) => reports.length), total: streams.length },
    errors: {
      total: counts.brokenStreams + counts.failedOperations + failedOpens.length,
      streams: counts.brokenStreams,
      operations: counts.failedOperations,
      opens: failedOpens.length,
      texts: textsOf(measured),
    },
    endings,
    bytes: { received, lost, duplicated, reordered, corrupted, hashMismatches: counts.hashMismatches },
    operations: counts.operations,
    stallMs,
    stallMaxMsByKind: byKind(streams, (reports) => {
      const stalls = stallsOf(reports)
      return stalls.length === 0 ? undefined : Math.ceil(Math.max(...stalls))
    }),
    operationMs: spreadOf(streams.flatMap(({ latenciesMs }) => latenciesMs)),
    openMs,
    slowOpens: slowestOf(opens),
    refusals,
    owners: { answers: ownership.answers, double: ownership.double, stale: ownership.stale },
    convergeMs: found.convergeMs === undefined ? null : Math.ceil(found.convergeMs),
    sessionMoves: measured.moves,
    moveRatio: found.moveRatio === undefined ? null : round(found.moveRatio),
    skew: found.skew === undefined ? null : round(found.skew),
    residentMb: measured.residentMb,
    cost: roundedCost(found.cost),
    loopDelay: measured.loopDelay,
    faults: found.marks,
    thresholds: judgements,
    missed: [...found.failures, ...judgements.filter(({ met }) => !met).map(({ text }) => text)],
  }
}
