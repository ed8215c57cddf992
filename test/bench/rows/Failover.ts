/** SIGKILL of a replica, and how soon a command in a sandbox succeeds through every replica that is left. */
import { Effect } from "effect"
import { type BenchError, failed } from "../BenchError.ts"
import type { Fixture, Place } from "../Fixture.ts"
import type { LoadGenerator } from "../Helper.ts"
import { FailoverReply, Samples } from "../load/Protocol.ts"
import type { Sizes } from "../Options.ts"
import type { Aim, Row } from "../Report.ts"
import { median, percentile, spread } from "../Stats.ts"

/**
 * Deadline of an attempt: one that waits on a dead replica is given up for a new one soon, but a machine that is
 * busy with other things must be able to finish one. The least, and in medians of an exec without a kill.
 */
const attempt = { leastMs: 250, medians: 5 } as const
const limitMs = 30_000

interface Kind {
  readonly way: string
  readonly place: (place: Place) => boolean
  readonly victim: (place: Place, names: ReadonlyArray<string>) => string
  readonly aims: (p50: number, max: number) => ReadonlyArray<Aim>
}

const elsewhere = (p50: number, max: number): ReadonlyArray<Aim> => [
  { aim: "p50 ≤ 500 ms", met: p50 <= 500 },
  { aim: "max ≤ 1000 ms", met: max <= 1_000 },
]
const reconnect = (_: number, max: number): ReadonlyArray<Aim> => [
  { aim: "max ≤ 2000 ms", met: max <= 2_000 },
]

const separate = ({ roams, owner, holder }: Place) => roams && holder !== "" && owner !== holder

const kinds: ReadonlyArray<Kind> = [
  {
    way: "owner killed, session elsewhere",
    place: separate,
    victim: ({ owner }) => owner,
    aims: elsewhere,
  },
  {
    way: "session holder killed",
    place: separate,
    victim: ({ holder }) => holder,
    aims: reconnect,
  },
  {
    way: "owner and holder in one killed",
    place: ({ roams, owner, holder }) => roams && owner === holder,
    victim: ({ owner }) => owner,
    aims: reconnect,
  },
  {
    way: "a third replica killed",
    place: separate,
    victim: ({ owner, holder }, names) => names.find((name) => name !== owner && name !== holder) ?? "",
    aims: elsewhere,
  },
]

const kill = (fixture: Fixture, load: LoadGenerator, kind: Kind, attemptMs: number) =>
  Effect.gen(function* () {
    yield* fixture.settled
    const place = yield* fixture.find(`for '${kind.way}'`, kind.place)
    const name = kind.victim(place, fixture.names)
    const { pid } = yield* Effect.mapError(fixture.cluster.replica(name), failed(kind.way))
    const survivors = fixture.names.filter((other) => other !== name)
    const request = {
      _tag: "Failover",
      pid,
      urls: survivors.map(fixture.url),
      sandboxId: place.sandbox.id,
      attemptMs,
      limitMs,
    } as const
    const reply = yield* load.ask(`failover, ${kind.way}`, request, FailoverReply)
    yield* Effect.mapError(fixture.cluster.restart(name), failed(`restart of ${name}`))
    return reply
  })

/** Without a kill, on the same sandbox: below this no gap can be. */
const floorRow = (fixture: Fixture, load: LoadGenerator, sizes: Sizes): Effect.Effect<Row, BenchError> =>
  Effect.gen(function* () {
    const place = yield* fixture.find("for exec", separate)
    const url = fixture.url(place.owner)
    const request = { _tag: "Exec", url, sandboxId: place.sandbox.id, count: sizes.execs } as const
    yield* load.ask("exec", request, Samples)
    const { samplesMs } = yield* load.ask("exec", request, Samples)
    return {
      group: "failover",
      name: rowName,
      way: "exec without a kill",
      kind: "floor",
      unit: "ms",
      values: { p50: percentile(samplesMs, 0.5), max: percentile(samplesMs, 1) },
      noise: spread(samplesMs),
      ratios: {},
      aims: [],
    }
  })

const rowName = "kill -9 of a replica until the next successful exec"

export const failover = (
  fixture: Fixture,
  load: LoadGenerator,
  sizes: Sizes,
): Effect.Effect<{ readonly rows: ReadonlyArray<Row>; readonly notes: ReadonlyArray<string> }, BenchError> =>
  Effect.gen(function* () {
    const notes: Array<string> = []
    const floor = yield* floorRow(fixture, load, sizes)
    const attemptMs = Math.max(attempt.leastMs, attempt.medians * (floor.values.p50 ?? 0))
    const gaps = new Map<string, Array<number>>(kinds.map(({ way }) => [way, []]))
    const fastest = new Map<string, Array<number>>(kinds.map(({ way }) => [way, []]))
    const startedAt = performance.now()
    const mayGoOn = () => performance.now() - startedAt < sizes.failoverMs
    for (let round = 0; round < sizes.kills && mayGoOn(); round += 1) {
      for (const kind of kinds) {
        if (!mayGoOn()) break
        const { before, lanes } = yield* kill(fixture, load, kind, attemptMs)
        for (const failure of before) notes.push(`an exec failed while nothing was being killed: ${failure}`)
        gaps.get(kind.way)?.push(Math.max(...lanes.map(({ gapMs }) => gapMs)))
        fastest.get(kind.way)?.push(Math.min(...lanes.map(({ gapMs }) => gapMs)))
      }
    }
    const rows = kinds.flatMap((kind): ReadonlyArray<Row> => {
      const values = gaps.get(kind.way) ?? []
      if (values.length < sizes.kills)
        notes.push(`${values.length} of ${sizes.kills} kills in the time there was: ${kind.way}`)
      if (values.length === 0) return []
      const [p50, max] = [percentile(values, 0.5), percentile(values, 1)]
      const row: Row = {
        group: "failover",
        name: rowName,
        way: kind.way,
        kind: "holdfast",
        unit: "ms",
        values: { p50, max, "p50 of the first replica": median(fastest.get(kind.way) ?? []) },
        noise: spread(values),
        ratios: {},
        aims: kind.aims(p50, max),
      }
      return [row]
    })
    return { rows: [...rows, floor], notes }
  })
