/** `holdfast up`: a whole cluster on this machine, shown at work, until Ctrl-C. */
import path from "node:path"
import { Clock, Effect, type Scope } from "effect"
import type { UpOptions } from "../cli/Dependencies.ts"
import { CliFailure, explain } from "../cli/Failure.ts"
import { colorOn } from "../cli/Output.ts"
import type { ClientError } from "../client/GatewayClient.ts"
import * as Control from "./Control.ts"
import * as Demonstration from "./Demonstration.ts"
import * as LocalCluster from "./LocalCluster.ts"
import { settingsFileOf } from "./ReplicaSettings.ts"
import * as UpOutput from "./UpOutput.ts"

export type { UpOptions } from "../cli/Dependencies.ts"

interface Voice {
  readonly color: boolean
  readonly say: (text: string) => Effect.Effect<void>
  /** From callbacks outside of any effect. */
  readonly sayNow: (text: string) => void
}

/** People read stdout, unless programs do; then people get stderr. */
const voiceOf = (options: UpOptions): Voice => {
  const stream = options.json ? process.stderr : process.stdout
  const sayNow = (text: string): void => {
    stream.write(`${text}\n`)
  }
  return { color: colorOn(stream, true), sayNow, say: (text) => Effect.sync(() => sayNow(text)) }
}

const textOf = (
  event: LocalCluster.LocalClusterEvent,
  stateDir: string,
  color: boolean,
): string | undefined => {
  switch (event._tag) {
    case "PostgresReady":
      return `Postgres is ready (pid ${event.pid}).`
    case "ReplicaReady":
      return UpOutput.replicaReady(event.replica)
    case "ReplicaExited": {
      const { exit } = event
      return exit.expected
        ? undefined
        : UpOutput.replicaExited(exit, settingsFileOf(stateDir, exit.name), color)
    }
    case "PostgresExited": {
      const how = event.signal === null ? `ended with code ${event.code}` : `was ended by ${event.signal}`
      return UpOutput.postgresExited(how, stateDir, color)
    }
  }
}

/** Creates the sandbox and runs a command in it through each replica in turn. */
const demonstrate = (cluster: LocalCluster.LocalCluster, voice: Voice): Effect.Effect<void, ClientError> =>
  Effect.gen(function* () {
    const startedAtMs = yield* Clock.currentTimeMillis
    yield* voice.say(`\nPreparing the sandbox ${Demonstration.sandboxName} …`)
    const { sandbox, origin } = yield* Demonstration.prepare(cluster.frontDoor)
    yield* voice.say(UpOutput.sandboxLine(origin, (yield* Clock.currentTimeMillis) - startedAtMs))
    const answers = yield* Effect.forEach(
      cluster.replicas().filter(({ pid }) => pid !== 0),
      (replica) => Demonstration.askThrough(replica, sandbox),
    )
    yield* voice.say(`\n${UpOutput.answers(answers, voice.color)}`.trimEnd())
  })

/** `--once` promises exit code 0 or 1, so the codes of the errors themselves do not show. */
const demonstrationFailure = (error: ClientError, cluster: LocalCluster.LocalCluster): CliFailure => {
  const { what, why, cause } = explain(error, {
    action: `show the sandbox ${Demonstration.sandboxName} at work`,
    gateway: cluster.frontDoor,
    workspace: "default",
    sandbox: Demonstration.sandboxName,
  })
  const next = `The logs are ${cluster.stateDir}/logs/*.log and ${cluster.stateDir}/sandboxes/*/run/supervisor.log.`
  return new CliFailure({ what, why, next, cause, exitCode: 1 })
}

/**
 * The whole command. Ends with exit code 0 or 1 after `--once`; otherwise it ends by interruption. Closing
 * its scope stops everything it started and nothing else.
 */
export const runUp = (options: UpOptions): Effect.Effect<number, CliFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const voice = voiceOf(options)
    yield* voice.say(
      `Starting ${options.sqlite ? "one replica on SQLite" : `Postgres and ${options.replicas} replica${options.replicas === 1 ? "" : "s"}`} in ${options.stateDirectory} …`,
    )
    // Finalizers run last in, first out: this one speaks when all others are done.
    let started = false
    yield* Effect.addFinalizer(() => (started ? voice.say("Stopped.") : Effect.void))
    const cluster = yield* LocalCluster.start({
      stateDir: options.stateDirectory,
      replicas: options.replicas,
      port: options.port,
      database: options.sqlite ? "sqlite" : "postgres",
      onEvent: (event) => {
        const text = textOf(event, path.resolve(options.stateDirectory), voice.color)
        if (text !== undefined) voice.sayNow(text)
      },
    }).pipe(
      Effect.mapError(
        (error) =>
          new CliFailure({
            what: "cannot start the cluster",
            why: error.message,
            next: error.next === "" ? undefined : error.next,
            exitCode: 1,
            cause: error,
          }),
      ),
    )
    started = true
    yield* Control.serve(cluster).pipe(
      Effect.catchAll(({ message }) =>
        voice.say(`\`holdfast drill\` cannot control this cluster: ${message}`),
      ),
    )
    yield* Effect.addFinalizer(() => voice.say("\nStopping the replicas, the sandboxes and the database …"))
    yield* voice.say(`\n${UpOutput.members(cluster, voice.color).trimEnd()}`)

    const shown = yield* Effect.either(demonstrate(cluster, voice))
    if (options.json) yield* Effect.sync(() => process.stdout.write(`${UpOutput.readyLine(cluster)}\n`))
    if (shown._tag === "Left") {
      const failure = demonstrationFailure(shown.left, cluster)
      if (options.once) return yield* failure
      yield* voice.say(`\n${failure.what}: ${failure.why ?? ""}\nThe cluster itself runs.`)
    }
    if (options.once) return 0
    yield* voice.say(`\n${UpOutput.tryNext(cluster, voice.color)}`)
    return yield* Effect.never
  })
