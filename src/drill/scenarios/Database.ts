/** Postgres is restarted, or away for a while. */
import { Effect } from "effect"
import type { DrillError } from "../DrillError.ts"
import type { Scenario, Stage } from "../Stage.ts"
import { database, type Links } from "../sites/Site.ts"

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

/** Its connections stay and nothing passes on them: nobody is told that it is away. */
const blackHole = (stage: Stage, links: Links): Effect.Effect<void, DrillError> =>
  Effect.gen(function* () {
    const lastsMs = awayMs(stage.quick)
    yield* stage.mark(`nothing passes to and from Postgres for ${lastsMs / 1_000} s`)
    yield* links.cut(database, "both")
    yield* Effect.sleep(lastsMs).pipe(Effect.ensuring(Effect.ignore(links.heal(database))))
    yield* stage.mark("Postgres can be reached again")
  })

export const databaseAway: Scenario = (stage) =>
  Effect.gen(function* () {
    const names = yield* stage.names
    const { database: postgres, links } = stage.controls
    const lastsMs = awayMs(stage.quick)
    yield* stage.mark(`stop Postgres for ${lastsMs / 1_000} s`)
    yield* postgres.stop
    yield* Effect.sleep(lastsMs).pipe(Effect.ensuring(Effect.ignoreLogged(postgres.start)))
    yield* stage.mark("Postgres takes connections")
    yield* stage.converge(names)
    if (links === undefined) return
    yield* blackHole(stage, links)
    yield* stage.converge(names)
  })
