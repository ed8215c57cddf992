/** The replicas of a local cluster by name: their settings, ports and processes. */
import { Effect } from "effect"
import type { PkiError } from "../auth/KeyFiles.ts"
import { ensureReplica } from "../auth/PeerCertificates.ts"
import { mainModule } from "../domain/Installation.ts"
import { gatewayNodeFlags } from "../domain/NodeFlags.ts"
import * as Proc from "../driver/Proc.ts"
import * as ClusterState from "./ClusterState.ts"
import type { Backend } from "./FrontDoor.ts"
import * as Ports from "./Ports.ts"
import * as ReplicaProcess from "./ReplicaProcess.ts"
import * as Settings from "./ReplicaSettings.ts"

export interface LocalReplica {
  readonly name: string
  /** For clients: `http://127.0.0.1:<port>`. */
  readonly url: string
  readonly metricsUrl: string
  /** 0 while it does not run. */
  readonly pid: number
}

export interface ReplicaSetOptions {
  readonly stateDir: string
  readonly clusterId: string
  readonly databaseUrl: string
  /** Port of the front door. */
  readonly port: number
  readonly frontDoorUrl: string
  readonly logLevel: string
  /** In place of, or besides, the usual settings. */
  readonly environment: (
    name: string,
    usual: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>
  /** The gateway program and its arguments, in place of this installation's `gateway run`. */
  readonly gatewayCommand: ReadonlyArray<string> | undefined
  readonly onExit: (exit: ReplicaProcess.ReplicaExit) => void
}

export interface ReplicaSet {
  /** In order of their names, running or not. */
  readonly views: () => ReadonlyArray<LocalReplica>
  readonly backends: () => ReadonlyArray<Backend>
  readonly find: (name: string) => ReplicaProcess.ReplicaProcess | undefined
  /** Takes the next name; does not start it. */
  readonly declare: Effect.Effect<ReplicaProcess.ReplicaProcess, PkiError>
  /** Starts a replica and waits until it is ready. */
  readonly launch: (
    replica: ReplicaProcess.ReplicaProcess,
  ) => Effect.Effect<LocalReplica, ReplicaProcess.ReplicaError>
  /** Writes settings for the name that `declare` would take next, for whoever joins a replica by hand. */
  readonly writeSpareSettings: Effect.Effect<void, PkiError>
  readonly stopAll: Effect.Effect<void>
}

const nameOf = (index: number): string => `replica-${index + 1}`
const readyUrlOf = (port: number, index: number): string =>
  `http://${Ports.host}:${Ports.replicaPorts(port, index).metrics}/readyz`

export const make = (options: ReplicaSetOptions): ReplicaSet => {
  const { stateDir, clusterId, databaseUrl, port } = options
  const processes: Array<ReplicaProcess.ReplicaProcess> = []

  const viewOf = ({ name, identity }: ReplicaProcess.ReplicaProcess, index: number): LocalReplica => {
    const ports = Ports.replicaPorts(port, index)
    return {
      name,
      url: `http://${Ports.host}:${ports.client}`,
      metricsUrl: `http://${Ports.host}:${ports.metrics}/metrics`,
      pid: identity()?.pid ?? 0,
    }
  }

  const record = Effect.suspend(() =>
    ClusterState.write(stateDir, {
      up: Proc.identify(process.pid) ?? { pid: process.pid, startTicks: 0 },
      frontDoor: options.frontDoorUrl,
      replicas: processes.flatMap(({ name, identity }) => {
        const running = identity()
        return running === undefined ? [] : [{ name, ...running }]
      }),
    }),
  )

  const settingsOf = (index: number) =>
    Effect.gen(function* () {
      const name = nameOf(index)
      const peerFiles = yield* ensureReplica({ directory: Settings.pkiDirectory(stateDir), clusterId, name })
      const usual = Settings.environmentOf({
        ...{ name, clusterId, databaseUrl, stateDir, peerFiles },
        ports: Ports.replicaPorts(port, index),
        publicUrl: options.frontDoorUrl,
        logLevel: options.logLevel,
      })
      const environment = { ...usual, ...options.environment(name, usual) }
      yield* Effect.promise(() => Settings.writeSettings(stateDir, name, environment))
      return environment
    })

  return {
    views: () => processes.map(viewOf),
    backends: () =>
      processes.map(({ name }, index) => {
        const readyUrl = readyUrlOf(port, index)
        return { name, host: Ports.host, port: Ports.replicaPorts(port, index).client, readyUrl }
      }),
    find: (name) => processes.find((replica) => replica.name === name),
    declare: Effect.gen(function* () {
      const index = processes.length
      const environment = yield* settingsOf(index)
      const made = ReplicaProcess.make({
        name: nameOf(index),
        command: options.gatewayCommand ?? [
          process.execPath,
          ...gatewayNodeFlags,
          mainModule,
          "gateway",
          "run",
        ],
        environment: Settings.processEnvironment(environment, process.env),
        logFile: Settings.logFileOf(stateDir, nameOf(index)),
        readyUrl: readyUrlOf(port, index),
        onExit: options.onExit,
      })
      processes.push(made)
      return made
    }),
    launch: (replica) =>
      replica.launch.pipe(
        // Before it is ready, so that a killed `up` leaves nothing that the next one does not know of.
        Effect.zipRight(record),
        Effect.zipRight(replica.ready),
        Effect.map(() => viewOf(replica, processes.indexOf(replica))),
      ),
    writeSpareSettings: Effect.suspend(() => settingsOf(processes.length)).pipe(Effect.asVoid),
    stopAll: Effect.suspend(() =>
      Effect.forEach(processes, (replica) => replica.stop, { concurrency: "unbounded", discard: true }),
    ),
  }
}
