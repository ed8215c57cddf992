/** Replicas are added and removed under load; sessions follow. */
import { Effect, Schedule } from "effect"
import { limits } from "../../domain/Limits.ts"
import { DrillError, failed } from "../DrillError.ts"
import type { Scenario, Stage } from "../Stage.ts"
import { skewNow } from "../watch/Whole.ts"

/** Numbers of replicas, the first of which is there at the start. */
const steps = (quick: boolean): ReadonlyArray<number> => (quick ? [1, 3, 2, 1] : [1, 3, 5, 2, 1])

/** The aim of the proof, after the deadline of which the skew counts as it is. */
const evenSkew = 1.1

/** The least moves after which sessions are even, or none is on a replica that goes. */
const leastMoves = (
  stage: Stage,
  from: number,
  going: ReadonlyArray<string>,
  to: number,
): Effect.Effect<number, DrillError> =>
  Effect.gen(function* () {
    const { replicas } = yield* (yield* stage.client).clusterStatus
    const live = replicas.filter((replica) => replica.live)
    const moving = to > from ? live : live.filter(({ name }) => going.includes(name))
    const sessions = moving.reduce((sum, replica) => sum + replica.sessions, 0)
    return to > from ? Math.floor((sessions * (to - from)) / to) : sessions
  }).pipe(Effect.mapError(failed("no cluster status")))

const untilEven = (stage: Stage): Effect.Effect<void, DrillError> =>
  Effect.gen(function* () {
    let last = Number.POSITIVE_INFINITY
    const look = Effect.flatMap(stage.client, skewNow).pipe(
      Effect.tap((skew) =>
        Effect.sync(() => {
          last = skew
        }),
      ),
      Effect.filterOrFail(
        (skew) => skew <= evenSkew,
        (skew) => new DrillError({ message: `the skew is ${skew}` }),
      ),
      Effect.retry(Schedule.spaced(200).pipe(Schedule.upTo(limits.drillEvenMs))),
    )
    yield* Effect.ignore(look)
    yield* stage.mark(`skew ${Math.round(last * 100) / 100}`)
    stage.foundSkew(last)
  })

/** `stopped`: replicas that this scenario has stopped; they are started before others are added. */
const change = (stage: Stage, stopped: Array<string>, to: number): Effect.Effect<number, DrillError> =>
  Effect.gen(function* () {
    const names = yield* stage.names
    const going = names.slice(to)
    yield* stage.mark(`from ${names.length} to ${to} replicas`)
    const least = yield* leastMoves(stage, names.length, going, to)
    for (let count = names.length; count < to; count++) {
      const back = stopped.pop()
      if (back === undefined) yield* stage.controls.add
      else {
        yield* stage.controls.start(back)
        yield* stage.setAway(back, false)
      }
    }
    for (const name of going.toReversed()) {
      yield* stage.setAway(name, true)
      yield* stage.controls.stop(name)
      stopped.push(name)
    }
    // The end of a process that was stopped may not have been noted yet.
    yield* stage.converge((yield* stage.names).filter((name) => !going.includes(name)))
    yield* untilEven(stage)
    return least
  })

export const scale: Scenario = (stage) =>
  Effect.gen(function* () {
    const stopped: Array<string> = []
    const before = (yield* stage.names).length
    const [first = 1, ...rest] = steps(stage.quick)
    if (before !== first) yield* change(stage, stopped, first)
    const movesBefore = stage.moves()
    const least = yield* Effect.forEach(rest, (count) => change(stage, stopped, count))
    const needed = least.reduce((sum, moves) => sum + moves, 0)
    stage.foundMoveRatio((stage.moves() - movesBefore) / Math.max(1, needed))
    // A cluster that was there before is left as it was.
    if ((yield* stage.names).length !== before) yield* change(stage, stopped, before)
  })
