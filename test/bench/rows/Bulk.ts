/** Bulk bytes: one stream and eight, up (towards the sandbox) and down. */
import { Effect, Schema } from "effect"
import type { BenchError } from "../BenchError.ts"
import { type CpuTimes, cpuBetween, cpuTimes, perUnit } from "../Cpu.ts"
import type { LoadGenerator } from "../Helper.ts"
import { BulkReply, type Direction } from "../load/Protocol.ts"
import type { Sizes } from "../Options.ts"
import type { Aim, Row } from "../Report.ts"
import { median, medianRatio, percentile, short, spread } from "../Stats.ts"
import { floorNames, inTurns, type NamedWay, type Ways } from "../Ways.ts"

interface Sample {
  readonly gbPerSecond: number
  readonly bytes: number
  readonly cpu: CpuTimes
}

const verifyBytes = 4 * 1_048_576

/** Every way carries bytes unharmed, in both directions; else its figures mean nothing. */
export const verify = (load: LoadGenerator, { ways }: Ways): Effect.Effect<void, BenchError> =>
  Effect.forEach(
    ways,
    ({ name, way }) =>
      load.ask(`verify, ${name}`, { _tag: "Verify", way, bytes: verifyBytes }, Schema.Unknown),
    { discard: true },
  )

const rowsOf = (
  load: LoadGenerator,
  { ways, pids }: Ways,
  sizes: Sizes,
  direction: Direction,
  streams: number,
): Effect.Effect<ReadonlyArray<Row>, BenchError> =>
  Effect.gen(function* () {
    const name = `bulk ${direction}, ${streams === 1 ? "one stream" : `${streams} streams`}`
    const measure = (bytes: number) => (it: NamedWay) =>
      Effect.gen(function* () {
        const before = cpuTimes(pids)
        const request = { _tag: "Bulk", way: it.way, direction, streams, bytes } as const
        const reply = yield* load.ask(`${name}, ${it.name}`, request, BulkReply)
        return {
          gbPerSecond: reply.bytes / 1e9 / reply.seconds,
          bytes: reply.bytes,
          cpu: cpuBetween(before, cpuTimes(pids)),
        } satisfies Sample
      })
    yield* Effect.forEach(ways, measure(sizes.bulkBytes / 4), { discard: true })
    const rounds = yield* inTurns(ways, sizes.bulkRounds, sizes.rowMs, measure(sizes.bulkBytes))
    const rates = (way: string) => (rounds.get(way) ?? []).map(({ gbPerSecond }) => gbPerSecond)
    const cpuOf = (way: string) => {
      const samples = rounds.get(way) ?? []
      const gigabytes = samples.reduce((sum, { bytes }) => sum + bytes, 0) / 1e9
      return {
        per: "GB",
        byProcess: perUnit(
          samples.map(({ cpu }) => cpu),
          gigabytes,
        ),
      }
    }
    const has = (way: string) => rounds.has(way)
    const ratiosOf = (way: NamedWay): Record<string, number> => {
      const others = way.kind === "floor" ? [floorNames.tcp] : Object.values(floorNames)
      const to = [
        ...others.filter((other) => other !== way.name && has(other)),
        ...(way.name === "peer" ? ["local"] : []),
      ]
      return Object.fromEntries(
        to.map((other) => [other, medianRatio(rates(way.name), rates(other))] as const),
      )
    }
    return ways.map((way) => {
      const values = rates(way.name)
      const ratios = ratiosOf(way)
      return {
        group: "bulk" as const,
        name,
        way: way.name,
        kind: way.kind,
        unit: "GB/s" as const,
        values: { median: median(values), min: percentile(values, 0), max: percentile(values, 1) },
        noise: spread(values),
        ratios,
        aims: aimsOf(way.name, median(values), ratios),
        cpuMs: cpuOf(way.name),
      }
    })
  })

const aimsOf = (
  way: string,
  gbPerSecond: number,
  ratios: Readonly<Record<string, number>>,
): ReadonlyArray<Aim> => {
  if (way === "local") {
    const toSsh = ratios[floorNames.ssh]
    return [
      ...(toSsh === undefined ? [] : [{ aim: "≥ ssh -R", met: toSsh >= 1 }]),
      { aim: "≥ 0.5 GB/s", met: gbPerSecond >= 0.5 },
    ]
  }
  const toLocal = ratios.local ?? 0
  return way === "peer" ? [{ aim: `≥ 70 % of local (${short(toLocal * 100)})`, met: toLocal >= 0.7 }] : []
}

export const bulk = (load: LoadGenerator, ways: Ways, sizes: Sizes) =>
  Effect.gen(function* () {
    const rows: Array<Row> = []
    for (const streams of [1, 8])
      for (const direction of ["up", "down"] as const)
        rows.push(...(yield* rowsOf(load, ways, sizes, direction, streams)))
    return rows
  })
