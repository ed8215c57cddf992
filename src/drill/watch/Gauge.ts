/** What a cluster costs while something lasts: processor time of its replicas, transactions of its database. */
import { Effect } from "effect"
import type { DrillError } from "../DrillError.ts"
import type { Site } from "../sites/Site.ts"
import { cpuMsOf } from "./CpuTime.ts"
import { residentKb } from "./Memory.ts"

export interface Reading {
  readonly seconds: number
  /** Of one core, of the busiest replica. */
  readonly cpuPercent: number
  /** Of everybody; a statement outside of a transaction is one. Undefined where the database cannot be asked. */
  readonly transactionsPerSecond: number | undefined
  /** MiB of the largest replica, at the end. */
  readonly residentMb: number
}

const pidsOf = (site: Site): Effect.Effect<ReadonlyArray<number>, DrillError> =>
  Effect.map(site.replicas, (replicas) =>
    replicas.flatMap(({ pid }) => (pid === undefined || pid === 0 ? [] : [pid])),
  )

/** Starts to measure; the effect it returns ends that. A replica that came or went meanwhile is not counted. */
export const gauge = (site: Site): Effect.Effect<Effect.Effect<Reading, DrillError>, DrillError> =>
  Effect.gen(function* () {
    const transactions = site.transactions ?? Effect.succeed(undefined)
    const before = new Map<number, number>()
    for (const pid of yield* pidsOf(site)) before.set(pid, cpuMsOf(pid))
    const transactionsBefore = yield* transactions
    const startedAtMs = performance.now()
    return Effect.gen(function* () {
      const seconds = (performance.now() - startedAtMs) / 1_000
      let busiestMs = 0
      let largestKb = 0
      for (const pid of yield* pidsOf(site)) {
        largestKb = Math.max(largestKb, yield* Effect.promise(() => residentKb(pid)))
        const known = before.get(pid)
        if (known !== undefined) busiestMs = Math.max(busiestMs, cpuMsOf(pid) - known)
      }
      const transactionsAfter = yield* transactions
      return {
        seconds,
        cpuPercent: busiestMs / seconds / 10,
        transactionsPerSecond:
          transactionsBefore === undefined || transactionsAfter === undefined
            ? undefined
            : (transactionsAfter - transactionsBefore) / seconds,
        residentMb: Math.round(largestKb / 1_024),
      }
    })
  })
