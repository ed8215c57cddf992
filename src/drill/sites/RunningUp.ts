/** The cluster of a `holdfast up` that runs on this machine, controlled through its state directory. */
import path from "node:path"
import { Effect } from "effect"
import * as Proc from "../../driver/Proc.ts"
import * as ClusterState from "../../local/ClusterState.ts"
import * as Control from "../../local/Control.ts"
import { DrillError, failed } from "../DrillError.ts"
import type { Controls, Site } from "./Site.ts"

const controlsOf = (stateDir: string): Controls => {
  const asking = (verb: Control.Verb, what: string) => (name: string) =>
    Effect.asVoid(Effect.mapError(Control.ask(stateDir, verb, name), failed(`cannot ${what} ${name}`)))
  const database = (verb: Control.Verb, what: string) =>
    Effect.asVoid(Effect.mapError(Control.ask(stateDir, verb), failed(`cannot ${what} Postgres`)))
  return {
    kill: asking("kill", "kill"),
    stop: asking("stop", "stop"),
    start: asking("start", "start"),
    freeze: asking("freeze", "freeze"),
    thaw: asking("thaw", "thaw"),
    add: Control.ask(stateDir, "add").pipe(
      Effect.mapError(failed("cannot add a replica")),
      Effect.flatMap((replicas) => {
        const added = replicas.at(-1)
        return added === undefined
          ? Effect.fail(new DrillError({ message: "no replica was added" }))
          : Effect.succeed(added)
      }),
    ),
    database: {
      stop: database("database-stop", "stop"),
      start: database("database-start", "start"),
    },
    links: undefined,
  }
}

export const find = (stateDirectory: string): Effect.Effect<Site, DrillError> =>
  Effect.gen(function* () {
    const stateDir = path.resolve(stateDirectory)
    const record = yield* ClusterState.read(stateDir)
    if (record === undefined || !Proc.isAlive(record.up)) {
      return yield* new DrillError({ message: `no cluster of \`holdfast up\` runs on ${stateDir}` })
    }
    const replicas = Control.ask(stateDir, "replicas").pipe(
      Effect.map((all) => all.filter(({ pid }) => pid !== 0)),
      Effect.mapError(failed("cannot list the replicas")),
    )
    // Says now, not in the middle of a scenario, that this process may not.
    yield* replicas
    return {
      endpoint: { url: record.frontDoor },
      workspace: "default",
      replicas,
      controls: controlsOf(stateDir),
      disposable: false,
    }
  })
