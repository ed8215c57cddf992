/** SIGKILL of one replica or two, and their return. */
import { Effect } from "effect"
import { type DrillError, failed } from "../DrillError.ts"
import { mostFrequent, needReplicas, type Scenario, type Stage } from "../Stage.ts"
import type { Site } from "../sites/Site.ts"

/** Kills them at once, waits until the others have taken over, starts them again. */
const kill = (
  stage: Stage,
  victims: ReadonlyArray<string>,
  why: string,
  takenOver: Effect.Effect<void, DrillError> = Effect.void,
): Effect.Effect<void, DrillError> =>
  Effect.gen(function* () {
    const names = yield* stage.names
    yield* needReplicas(names, victims.length + 1)
    const left = names.filter((name) => !victims.includes(name))
    yield* Effect.forEach(victims, (name) => stage.setAway(name, true))
    yield* stage.mark(`kill -9 of ${victims.join(" and ")}: ${why}`)
    const sinceMs = performance.now()
    yield* Effect.forEach(victims, stage.controls.kill, { concurrency: "unbounded", discard: true })
    stage.killed(sinceMs, performance.now())
    yield* stage.converge(left)
    yield* takenOver
    yield* stage.mark(`start ${victims.join(" and ")} again`)
    yield* Effect.forEach(victims, stage.controls.start, { concurrency: "unbounded", discard: true })
    yield* Effect.forEach(victims, (name) => stage.setAway(name, false))
    yield* stage.converge(names)
  })

export const killOwner: Scenario = (stage) =>
  Effect.gen(function* () {
    const locations = yield* stage.locations
    const apart = locations.filter(({ owner, holder }) => owner !== holder)
    const owner = mostFrequent((apart.length > 0 ? apart : locations).map((location) => location.owner))
    yield* kill(stage, [owner ?? ""], "it owns sandboxes")
  })

export const killHolder: Scenario = (stage) =>
  Effect.gen(function* () {
    const holder = mostFrequent((yield* stage.locations).map((location) => location.holder))
    yield* kill(stage, [holder ?? ""], "it holds most sessions")
  })

/** As many sessions as one replica can lose, with as many idle ones as the drill was given. */
export const storm: Scenario = (stage) =>
  Effect.gen(function* () {
    const status = yield* Effect.mapError(
      Effect.flatMap(stage.client, ({ clusterStatus }) => clusterStatus),
      failed("no cluster status"),
    )
    const names = yield* stage.names
    const fullest = status.replicas
      .filter(({ live, name }) => live && names.includes(name))
      .toSorted((left, right) => right.sessions - left.sessions)[0]
    const end = yield* stage.gauge
    yield* kill(
      stage,
      [fullest?.name ?? ""],
      `${fullest?.sessions ?? 0} sessions are lost at once`,
      Effect.map(end, (cost) => stage.foundCost(cost)),
    )
  })

/** All sessions come to the only replica that runs; the others start, and it is killed before sessions move. */
export const stormOnOne = (): {
  readonly prepare: (site: Site) => Effect.Effect<void, DrillError>
  readonly play: Scenario
} => {
  let others: ReadonlyArray<string> = []
  return {
    prepare: ({ replicas, controls }) =>
      Effect.gen(function* () {
        if (controls === undefined) return
        others = (yield* replicas).slice(1).map(({ name }) => name)
        yield* Effect.forEach(others, controls.stop, { concurrency: "unbounded", discard: true })
      }),
    play: (stage) =>
      Effect.gen(function* () {
        // Backends tell the database's statistics of their last transactions ten seconds later at the latest.
        yield* Effect.sleep(stage.quick ? 1_000 : 11_000)
        yield* stage.mark(`start ${others.join(" and ")}`)
        yield* Effect.forEach(others, stage.controls.start, { concurrency: "unbounded", discard: true })
        yield* storm(stage)
      }),
  }
}

/** An owner, and another replica: with connections of clients on every replica, on some streams the client's. */
export const killBoth: Scenario = (stage) =>
  Effect.gen(function* () {
    const locations = yield* stage.locations
    const owner = mostFrequent(locations.map((location) => location.owner)) ?? ""
    const others = (yield* stage.names).filter((name) => name !== owner)
    const holders = locations.map(({ holder }) => holder)
    // A third replica that holds no session of these sandboxes would be a milder loss; holders go first.
    const other = mostFrequent(holders.filter((name) => name !== owner)) ?? others[0] ?? ""
    yield* kill(stage, [owner, other], "an owner and the replica of clients and sessions")
  })
