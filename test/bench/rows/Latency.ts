/** Opening a forward, and round trips on an open one. */
import { Effect } from "effect"
import type { BenchError } from "../BenchError.ts"
import { type CpuTimes, cpuBetween, cpuTimes, perUnit } from "../Cpu.ts"
import type { LoadGenerator } from "../Helper.ts"
import { Samples } from "../load/Protocol.ts"
import type { Group, Sizes } from "../Options.ts"
import type { Aim, Row } from "../Report.ts"
import { medianRatio, percentile, short, spread } from "../Stats.ts"
import { floorNames, inTurns, type NamedWay, type Ways } from "../Ways.ts"

interface Plan {
  readonly group: Group
  readonly name: string
  readonly unit: "ms" | "µs"
  readonly ways: ReadonlyArray<NamedWay>
  readonly rounds: number
  readonly budgetMs: number
  readonly perMs: number
  readonly pids: Readonly<Record<string, number>>
  /** What one sample is, for its CPU time. */
  readonly sample: string
  readonly measure: (way: NamedWay) => Effect.Effect<ReadonlyArray<number>, BenchError>
  readonly aims: (way: string, p50: number, p99: number, localP50: number) => ReadonlyArray<Aim>
}

interface Round {
  readonly samplesMs: ReadonlyArray<number>
  readonly cpu: CpuTimes
}

const run = (plan: Plan): Effect.Effect<ReadonlyArray<Row>, BenchError> =>
  Effect.gen(function* () {
    // Code that has never run is no part of the figure.
    yield* Effect.forEach(plan.ways, plan.measure, { discard: true })
    const rounds = yield* inTurns(plan.ways, plan.rounds, plan.budgetMs, (way) =>
      Effect.gen(function* () {
        const before = cpuTimes(plan.pids)
        const samplesMs = yield* plan.measure(way)
        return { samplesMs, cpu: cpuBetween(before, cpuTimes(plan.pids)) } satisfies Round
      }),
    )
    const of = (name: string) => rounds.get(name) ?? []
    const mediansOf = (name: string) => of(name).map(({ samplesMs }) => percentile(samplesMs, 0.5))
    const all = (name: string) => of(name).flatMap(({ samplesMs }) => samplesMs.map((ms) => ms * plan.perMs))
    const localP50 = percentile(all("local"), 0.5)
    const floor = plan.ways.find(({ name }) => name === floorNames.tcp)
    return plan.ways.map(({ name, kind }) => {
      const samples = all(name)
      const [p50, p99] = [percentile(samples, 0.5), percentile(samples, 0.99)]
      const ratio = (to: string) => ({ [to]: medianRatio(mediansOf(name), mediansOf(to)) })
      return {
        group: plan.group,
        name: plan.name,
        way: name,
        kind,
        unit: plan.unit,
        values: { p50, p99 },
        noise: spread(mediansOf(name)),
        ratios: {
          ...(floor === undefined || name === floor.name ? {} : ratio(floor.name)),
          ...(name === "peer" ? ratio("local") : {}),
        },
        aims: plan.aims(name, p50, p99, localP50),
        cpuMs: {
          per: plan.sample,
          byProcess: perUnit(
            of(name).map(({ cpu }) => cpu),
            samples.length,
          ),
        },
      }
    })
  })

const openAims: Plan["aims"] = (way, p50, p99, localP50) => {
  if (way === "local")
    return [
      { aim: "p50 ≤ 2 ms", met: p50 <= 2 },
      { aim: "p99 ≤ 10 ms", met: p99 <= 10 },
    ]
  return way === "peer"
    ? [{ aim: `adds ≤ 1 ms at p50 (${short(p50 - localP50)})`, met: p50 - localP50 <= 1 }]
    : []
}

export const open = (load: LoadGenerator, { ways, pids }: Ways, sizes: Sizes) =>
  run({
    group: "open",
    pids,
    sample: "open",
    name: "open + 64 B echo + close",
    unit: "ms",
    perMs: 1,
    // One pipe says nothing about opening that direct TCP does not.
    ways: ways.filter(({ name }) => name !== floorNames.pipe),
    rounds: sizes.openRounds,
    budgetMs: sizes.rowMs,
    measure: ({ name, way }) =>
      // A channel of ssh takes tens of milliseconds; a fifth of the samples shows that.
      Effect.map(
        load.ask(
          `open, ${name}`,
          {
            _tag: "Open",
            way,
            count: name === floorNames.ssh ? Math.ceil(sizes.opensPerRound / 5) : sizes.opensPerRound,
          },
          Samples,
        ),
        ({ samplesMs }) => samplesMs,
      ),
    aims: openAims,
  })

export const roundTrip = (load: LoadGenerator, { ways, pids }: Ways, sizes: Sizes) =>
  run({
    group: "roundtrip",
    pids,
    sample: "round trip",
    name: "64 B there and back",
    unit: "µs",
    perMs: 1_000,
    ways,
    rounds: sizes.roundTripRounds,
    budgetMs: sizes.rowMs,
    measure: ({ name, way }) =>
      Effect.map(
        load.ask(`round trip, ${name}`, { _tag: "RoundTrip", way, count: sizes.roundTripsPerRound }, Samples),
        ({ samplesMs }) => samplesMs,
      ),
    aims: () => [],
  })
