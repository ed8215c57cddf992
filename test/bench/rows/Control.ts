/** The control plane over three replicas: reads, compare-and-swap writes, and watchers that wait. */
import { Effect, Schema, type Scope } from "effect"
import { insertFleet } from "../../../src/drill/fleet/FleetRecords.ts"
import { fleetId, fleetName } from "../../../src/drill/fleet/FleetSpec.ts"
import { transactionsOf } from "../../../src/drill/watch/Transactions.ts"
import * as LocalCluster from "../../../src/local/LocalCluster.ts"
import { BenchError, failed } from "../BenchError.ts"
import { type CpuTimes, cpuBetween, cpuTimes, familyCpuMsOf, perUnit } from "../Cpu.ts"
import { gatewayCommand, stateDirectory } from "../Fixture.ts"
import type { LoadGenerator } from "../Helper.ts"
import { RateReply, type Request, WatchedReply } from "../load/Protocol.ts"
import type { Options } from "../Options.ts"
import type { Row } from "../Report.ts"
import { median, percentile, spread } from "../Stats.ts"

const clusterId = "bench"
const prefix = "control"
/** Lanes of reads and writes: enough to keep three replicas busy. */
const atOnce = 48

interface Control {
  readonly urls: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
  readonly ids: ReadonlyArray<string>
  readonly pids: Readonly<Record<string, number>>
  readonly postgresPid: number
  /** So far, those of everybody; a backend reports once a second. */
  readonly transactions: Effect.Effect<number, BenchError>
}

/** A cluster without a driver, and records of sandboxes that nobody runs. */
const start = ({ sizes, ...options }: Options): Effect.Effect<Control, BenchError, Scope.Scope> =>
  Effect.gen(function* () {
    const { controlSandboxes: sandboxes } = sizes
    const stateDir = yield* stateDirectory(options.keep)
    const cluster = yield* LocalCluster.start({
      ...{ stateDir, clusterId, replicas: 3, port: 0, logLevel: "warn" },
      ...{ database: "postgres", durability: "none" },
      environment: () => ({ HOLDFAST_DRIVER: "none" }),
      ...gatewayCommand(options),
    }).pipe(Effect.mapError(failed("the cluster does not start")))
    const { postgres } = cluster
    if (postgres === undefined) return yield* new BenchError({ message: "the cluster has no Postgres" })
    yield* insertFleet({ databaseUrl: postgres.url, clusterId, prefix, count: sandboxes }).pipe(
      Effect.mapError(failed("no sandbox records")),
    )
    const all = Array.from({ length: sandboxes }, (_, index) => index)
    return {
      urls: cluster.replicas().map(({ url }) => url),
      names: all.map((index) => fleetName(prefix, index)),
      ids: all.map((index) => fleetId(prefix, index)),
      pids: Object.fromEntries(cluster.replicas().map(({ name, pid }) => [name, pid ?? 0])),
      postgresPid: postgres.pid,
      transactions: Effect.mapError(transactionsOf(postgres.url), failed("no count of transactions")),
    }
  })

interface Round {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const rowOf = (name: string, rounds: ReadonlyArray<Round>, least: number | undefined): Row => {
  const rates = rounds.map(({ perSecond }) => perSecond)
  return {
    ...{ group: "control", name, way: "three replicas", kind: "holdfast", unit: "calls/s", ratios: {} },
    values: {
      median: median(rates),
      "p50 ms": median(rounds.map(({ p50 }) => p50)),
      "p99 ms": median(rounds.map(({ p99 }) => p99)),
    },
    noise: spread(rates),
    aims:
      least === undefined ? [] : [{ aim: `≥ ${least.toLocaleString("en")}/s`, met: median(rates) >= least }],
  }
}

export const control = (
  load: LoadGenerator,
  options: Options,
): Effect.Effect<ReadonlyArray<Row>, BenchError, Scope.Scope> =>
  Effect.gen(function* () {
    const { sizes } = options
    const { urls, names, ids, pids, postgresPid, transactions } = yield* start(options)
    const spent = (): CpuTimes => ({
      ...cpuTimes({ ...pids, "load client": load.pid }),
      Postgres: familyCpuMsOf(postgresPid),
    })
    const seconds = sizes.controlSeconds
    const refusals: Record<string, number> = {}
    const measured = (what: string, request: Request) =>
      Effect.gen(function* () {
        const before = spent()
        const { calls, seconds: took, samplesMs, refused } = yield* load.ask(what, request, RateReply)
        const cpu = perUnit([cpuBetween(before, spent())], calls)
        refusals[what] = (refusals[what] ?? 0) + refused
        const round: Round = {
          perSecond: calls / took,
          p50: percentile(samplesMs, 0.5),
          p99: percentile(samplesMs, 0.99),
        }
        return { round, cpu }
      })
    const writers = (count: number): Request => ({
      ...{ _tag: "Writes", urls, seconds },
      names: names.slice(0, count),
    })
    const asked: Readonly<Record<string, Request>> = {
      reads: { _tag: "Reads", urls, names, seconds, atOnce },
      writes: writers(atOnce),
      "one writer": writers(1),
      "two writers": writers(2),
    }
    const rounds: Record<string, Array<Round>> = {}
    const cpus: Record<string, Readonly<Record<string, number>>> = {}
    for (const [what, request] of Object.entries(asked)) yield* measured(`${what}, warming up`, request)
    for (let turn = 0; turn < sizes.controlRounds; turn++)
      for (const [what, request] of Object.entries(asked)) {
        const { round, cpu } = yield* measured(what, request)
        rounds[what] = [...(rounds[what] ?? []), round]
        cpus[what] = cpu
      }
    const row = (what: string, least?: number): Row => ({
      ...rowOf(what, rounds[what] ?? [], least),
      name:
        (refusals[what] ?? 0) === 0 ? what : `${what} (${refusals[what]} refused, with leave to try again)`,
      cpuMs: { per: "call", byProcess: cpus[what] ?? {} },
    })
    const rateOf = (what: string) => (rounds[what] ?? []).map(({ perSecond }) => perSecond)
    const scale = median(rateOf("two writers").map((two, turn) => two / (rateOf("one writer")[turn] ?? 1)))

    const idle = Effect.gen(function* () {
      const before = yield* transactions
      yield* Effect.sleep(sizes.watchSeconds * 1_000)
      return ((yield* transactions) - before) / sizes.watchSeconds
    })
    // What the calls left behind: backends report their last transactions a second later.
    yield* Effect.sleep(2_000)
    const without = yield* idle
    yield* load.ask("watchers", { _tag: "Watch", urls, ids }, Schema.Unknown)
    yield* Effect.sleep(2_000)
    const withWatchers = yield* idle
    const { broken } = yield* load.ask("watchers", { _tag: "Watched" }, WatchedReply)
    if (broken > 0) return yield* new BenchError({ message: `${broken} idle watches broke off` })
    return [
      row("reads", 10_000),
      row("writes", 2_000),
      row("one writer"),
      {
        ...row("two writers"),
        ratios: { "one writer": scale },
        aims: [{ aim: "≥ 1.6 × one writer", met: scale >= 1.6 }],
      },
      {
        ...{ group: "control", way: "three replicas", kind: "holdfast", unit: "statements/s" },
        name: `database with and without ${ids.length} idle watchers`,
        values: { with: withWatchers, without },
        ...{ noise: 0, ratios: {} },
        aims: [{ aim: "no statements of watchers", met: withWatchers <= without + 2 }],
      },
    ]
  })
