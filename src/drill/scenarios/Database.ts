/** Postgres is restarted, or away for a while. */
import { Effect } from "effect"
import type { Scenario } from "../Stage.ts"

/** Beyond the fence either way. */
const awayMs = (quick: boolean): number => (quick ? 8_000 : 60_000)

export const databaseRestart: Scenario = (stage) =>
  Effect.gen(function* () {
    const names = yield* stage.names
    yield* stage.mark("restart Postgres")
    yield* stage.controls.database.stop
    yield* stage.controls.database.start
    yield* stage.mark("Postgres takes connections")
    yield* stage.converge(names)
  })

export const databaseAway: Scenario = (stage) =>
  Effect.gen(function* () {
    const names = yield* stage.names
    const { database } = stage.controls
    const lastsMs = awayMs(stage.quick)
    yield* stage.mark(`stop Postgres for ${lastsMs / 1_000} s`)
    yield* database.stop
    yield* Effect.sleep(lastsMs).pipe(Effect.ensuring(Effect.ignoreLogged(database.start)))
    yield* stage.mark("Postgres takes connections")
    yield* stage.converge(names)
  })
