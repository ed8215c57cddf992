/**
 * A whole cluster on this machine: Postgres (or SQLite), replicas as processes, and a front door over them.
 * What `holdfast up` runs, and what tests and benchmarks drive.
 *
 * Closing the scope ends, in this order, the replicas, the front door, the sandboxes and Postgres: supervisors
 * that ended before their replicas would report the end of their main process, and their sandboxes would
 * count as failed at the next start.
 */
import { mkdirSync, realpathSync } from "node:fs"
import { Data, Effect, type Scope } from "effect"
import { ensureCredentialKeys } from "../auth/CredentialKeys.ts"
import { ensureJwtKeys } from "../auth/JwtKeys.ts"
import { limits } from "../domain/Limits.ts"
import { Driver } from "../driver/Driver.ts"
import * as ProcessDriver from "../driver/ProcessDriver.ts"
import * as ClusterState from "./ClusterState.ts"
import * as EmbeddedPostgres from "./EmbeddedPostgres.ts"
import * as FrontDoor from "./FrontDoor.ts"
import { joinedReplicas } from "./JoinedReplicas.ts"
import * as Ports from "./Ports.ts"
import type * as ReplicaProcess from "./ReplicaProcess.ts"
import type { LocalReplica } from "./ReplicaSet.ts"
import * as ReplicaSet from "./ReplicaSet.ts"
import * as Settings from "./ReplicaSettings.ts"

export type { LocalReplica } from "./ReplicaSet.ts"

/** The message says what failed and why, `next` what to do; `next` may be empty. */
export class LocalClusterError extends Data.TaggedError("LocalClusterError")<{
  readonly message: string
  readonly next: string
}> {}

export type LocalClusterEvent =
  | { readonly _tag: "PostgresReady"; readonly pid: number; readonly port: number }
  | { readonly _tag: "PostgresExited"; readonly code: number | null; readonly signal: NodeJS.Signals | null }
  | { readonly _tag: "ReplicaReady"; readonly replica: LocalReplica }
  | { readonly _tag: "ReplicaExited"; readonly exit: ReplicaProcess.ReplicaExit }

export interface LocalClusterOptions {
  readonly stateDir: string
  /** 1 on SQLite. */
  readonly replicas: number
  /** Of the front door; the ports after it are used too (Ports). 0 looks for a free range. */
  readonly port: number
  /** `{ url }`: a database of the caller's. */
  readonly database: "postgres" | "sqlite" | { readonly url: string }
  /** Default `holdfast`. */
  readonly clusterId?: string
  /** Default `info`. */
  readonly logLevel?: string
  /** `none` for data that a power failure may take. Default `full`. */
  readonly durability?: "full" | "none"
  /** Settings of a replica in place of, or besides, the usual. */
  readonly environment?: (
    name: string,
    usual: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>
  /** The gateway program and its arguments, in place of this installation's `gateway run`. */
  readonly gatewayCommand?: ReadonlyArray<string>
  readonly onEvent?: (event: LocalClusterEvent) => void
}

export interface LocalPostgres {
  readonly url: string
  /** Of the server that runs, or ran last. */
  readonly pid: number
  /** Ends the server and leaves everything else running; returns when it is gone. */
  readonly stop: Effect.Effect<void>
  /** Starts it with the data that it had, stopping it first if it runs; returns when it takes connections. */
  readonly restart: Effect.Effect<void, LocalClusterError>
}

export interface LocalCluster {
  readonly stateDir: string
  /** URL of the front door. */
  readonly frontDoor: string
  /** Absent on SQLite and on a database of the caller's. */
  readonly postgres: LocalPostgres | undefined
  /** Those that this cluster started, running or not, in order of their names. */
  readonly replicas: () => ReadonlyArray<LocalReplica>
  /** Fails for a name that this cluster does not have. */
  readonly replica: (name: string) => Effect.Effect<LocalReplica, LocalClusterError>
  /** KILL; returns when it is gone. */
  readonly kill: (name: string) => Effect.Effect<void, LocalClusterError>
  /** TERM, that is a drain; returns when it is gone. */
  readonly stop: (name: string) => Effect.Effect<void, LocalClusterError>
  /** Stops it if it runs, starts it with its settings, returns when it is ready. */
  readonly restart: (name: string) => Effect.Effect<LocalReplica, LocalClusterError>
  /** SIGSTOP and SIGCONT. */
  readonly freeze: (name: string) => Effect.Effect<void, LocalClusterError>
  readonly thaw: (name: string) => Effect.Effect<void, LocalClusterError>
  /** One more replica; returns when it is ready. */
  readonly add: Effect.Effect<LocalReplica, LocalClusterError>
  /** Settings with which a replica can be started by hand, as the path of an environment file. */
  readonly settingsFile: (name: string) => string
}

const asError = (error: { readonly message: string; readonly next?: string }): LocalClusterError =>
  new LocalClusterError({ message: error.message, next: error.next ?? "" })

const postgresDirectory = (stateDir: string): string => `${stateDir}/postgres`

/** Others may pass through it: as root, Postgres runs as another account. */
const makeStateDir = (directory: string): Effect.Effect<string, LocalClusterError> =>
  Effect.try({
    try: () => {
      mkdirSync(directory, { recursive: true, mode: 0o711 })
      return realpathSync(directory)
    },
    catch: (error) =>
      new LocalClusterError({
        message: `cannot make the state directory: ${error instanceof Error ? error.message : String(error)}`,
        next: "Choose another one with --state.",
      }),
  })

const database = (
  options: LocalClusterOptions,
  stateDir: string,
  port: number,
): Effect.Effect<
  { url: string; postgres: LocalCluster["postgres"] },
  EmbeddedPostgres.EmbeddedPostgresError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    if (options.database === "sqlite") return { url: `sqlite:${stateDir}/holdfast.db`, postgres: undefined }
    if (options.database !== "postgres") return { url: options.database.url, postgres: undefined }
    const server = yield* EmbeddedPostgres.start({
      dataDir: postgresDirectory(stateDir),
      port,
      logFile: Settings.logFileOf(stateDir, "postgres"),
      durability: options.durability ?? "full",
    })
    options.onEvent?.({ _tag: "PostgresReady", pid: server.pid, port })
    let told = false
    // The scope must be able to end it, wherever it was started.
    const watch = Effect.interruptible(server.exited).pipe(
      Effect.tap((exit) =>
        Effect.sync(() => {
          if (!told) options.onEvent?.({ _tag: "PostgresExited", ...exit })
        }),
      ),
    )
    const scope = yield* Effect.scope
    yield* Effect.forkIn(watch, scope)
    const stop = Effect.suspend(() => {
      told = true
      return server.stop
    })
    const restart = Effect.zipRight(stop, server.restart).pipe(
      Effect.tap(() =>
        Effect.suspend(() => {
          told = false
          return Effect.forkIn(watch, scope)
        }),
      ),
      Effect.asVoid,
      Effect.mapError(asError),
    )
    const { url } = server
    return {
      url,
      postgres: {
        url,
        get pid() {
          return server.pid
        },
        stop,
        restart,
      },
    }
  })

/** Ends the process trees of all sandboxes of the state directory when the scope closes; their files stay. */
const stopSandboxesAtEnd = (stateDir: string, endpoint: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const driver = yield* Driver
      const running = (yield* driver.list).filter(({ state }) => state === "running")
      yield* Effect.forEach(running, ({ id }) => driver.stop(id), { concurrency: 8, discard: true })
    }).pipe(
      Effect.catchAll((error) => Effect.logError(`a sandbox could not be stopped: ${error.message}`)),
      Effect.provide(ProcessDriver.layer({ stateDir, endpoint, logLevel: "info" })),
    ),
  )

export const start = (
  options: LocalClusterOptions,
): Effect.Effect<LocalCluster, LocalClusterError, Scope.Scope> =>
  Effect.gen(function* () {
    const stateDir = yield* makeStateDir(options.stateDir)
    const count = options.database === "sqlite" ? 1 : options.replicas
    yield* ClusterState.claim(stateDir)
    if (typeof options.database === "string") yield* ClusterState.keepDatabase(stateDir, options.database)
    if (options.database === "postgres") yield* EmbeddedPostgres.endLeftover(postgresDirectory(stateDir))
    const port = options.port === 0 ? yield* Ports.freeRange(count) : options.port
    yield* Ports.checkFree(Ports.portsOf(port, count))
    const frontDoorUrl = `http://${Ports.host}:${port}`
    const { url: databaseUrl, postgres } = yield* database(options, stateDir, Ports.postgresPort(port))
    yield* ensureJwtKeys(Settings.jwtDirectory(stateDir))
    yield* ensureCredentialKeys(Settings.credentialDirectory(stateDir))
    yield* stopSandboxesAtEnd(stateDir, frontDoorUrl)

    const set = ReplicaSet.make({
      ...{ stateDir, databaseUrl, port, frontDoorUrl },
      clusterId: options.clusterId ?? "holdfast",
      logLevel: options.logLevel ?? "info",
      environment: options.environment ?? (() => ({})),
      gatewayCommand: options.gatewayCommand,
      onExit: (exit) => options.onEvent?.({ _tag: "ReplicaExited", exit }),
    })
    const joined = yield* joinedReplicas(frontDoorUrl, () => set.views().map(({ name }) => name))
    const frontDoor = yield* FrontDoor.start({
      host: Ports.host,
      port,
      replicas: Effect.sync(() => [...set.backends(), ...joined()]),
    })
    yield* Effect.addFinalizer(() => set.stopAll)

    const launch = (replica: ReplicaProcess.ReplicaProcess) =>
      set.launch(replica).pipe(
        Effect.zipLeft(frontDoor.refresh),
        Effect.tap((view) => Effect.sync(() => options.onEvent?.({ _tag: "ReplicaReady", replica: view }))),
      )
    const first = yield* Effect.replicateEffect(set.declare, count)
    yield* Effect.forEach(first, launch, { concurrency: "unbounded", discard: true })
    if (options.database !== "sqlite") yield* set.writeSpareSettings

    const withReplica = <A, E extends { readonly message: string }>(
      name: string,
      use: (replica: ReplicaProcess.ReplicaProcess) => Effect.Effect<A, E>,
    ): Effect.Effect<A, LocalClusterError> =>
      Effect.suspend(() => {
        const found = set.find(name)
        return found === undefined
          ? Effect.fail(new LocalClusterError({ message: `this cluster has no replica ${name}`, next: "" }))
          : Effect.mapError(use(found), asError)
      })
    const view = (name: string) => Effect.sync(() => set.views().find((replica) => replica.name === name))
    return {
      stateDir,
      frontDoor: frontDoorUrl,
      postgres,
      replicas: set.views,
      replica: (name) =>
        view(name).pipe(
          Effect.filterOrFail(
            (found) => found !== undefined,
            () => new LocalClusterError({ message: `this cluster has no replica ${name}`, next: "" }),
          ),
        ),
      kill: (name) => withReplica(name, (replica) => replica.kill),
      stop: (name) => withReplica(name, (replica) => replica.stop),
      restart: (name) => withReplica(name, (replica) => Effect.zipRight(replica.stop, launch(replica))),
      freeze: (name) => withReplica(name, (replica) => replica.freeze),
      thaw: (name) => withReplica(name, (replica) => replica.thaw),
      add: Effect.suspend(() =>
        set.views().length < limits.localReplicas
          ? Effect.mapError(Effect.flatMap(set.declare, launch), asError)
          : Effect.fail(
              new LocalClusterError({
                message: `a local cluster has at most ${limits.localReplicas} replicas`,
                next: "",
              }),
            ),
      ),
      settingsFile: (name) => Settings.settingsFileOf(stateDir, name),
    } satisfies LocalCluster
  }).pipe(Effect.mapError(asError))
