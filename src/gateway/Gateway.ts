/** One replica, composed. Read it from the bottom: what is provided last stands first. */
import type * as RunnerStorage from "@effect/cluster/RunnerStorage"
import type * as SqlClient from "@effect/sql/SqlClient"
import { Context, Deferred, Effect, Layer, Logger, Option, type Scope } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import { ApiSettings } from "../api/ApiSettings.ts"
import { Extensions, extensionService } from "../api/Extensions.ts"
import { Directory } from "../api/http/Directory.ts"
import { ServiceGate } from "../api/http/ServiceGate.ts"
import { ServiceRoutes } from "../api/http/ServiceRoutes.ts"
import { ServiceSettings } from "../api/ServiceSettings.ts"
import * as CredentialVault from "../auth/CredentialVault.ts"
import * as ExtensionTokens from "../auth/ExtensionTokens.ts"
import * as SandboxTokens from "../auth/SandboxTokens.ts"
import * as Cluster from "../cluster/Cluster.ts"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import * as LocalRunnerStorage from "../cluster/LocalRunnerStorage.ts"
import { Membership } from "../cluster/Membership.ts"
import type { Ownership } from "../cluster/Ownership.ts"
import * as PeerDialer from "../cluster/PeerDialer.ts"
import * as PeerListener from "../cluster/PeerListener.ts"
import * as PgRunnerStorage from "../cluster/PgRunnerStorage.ts"
import type { FailedPrecondition, Internal, InvalidArgument, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Driver } from "../driver/Driver.ts"
import * as ExternalDriver from "../driver/ExternalDriver.ts"
import * as NoDriver from "../driver/NoDriver.ts"
import * as ProcessDriver from "../driver/ProcessDriver.ts"
import { ClientPorts } from "../edge/ClientPorts.ts"
import * as ClusterEdges from "../edge/ClusterEdges.ts"
import * as ConfigPush from "../edge/ConfigPush.ts"
import { Drain, DrainSettings } from "../edge/Drain.ts"
import * as Isolation from "../edge/Isolation.ts"
import { LocalEdge } from "../edge/LocalEdge.ts"
import { OwnerHints } from "../edge/OwnerHints.ts"
import { PeerLegs } from "../edge/PeerLegs.ts"
import { RelayOpener } from "../edge/RelayOpener.ts"
import { ReplicaStreams } from "../edge/ReplicaStreams.ts"
import { SessionStream } from "../edge/SessionStream.ts"
import { Steering } from "../edge/Steering.ts"
import { boundHeapGrowth, trimWhenQuiet } from "../observe/HeapGrowth.ts"
import * as Logs from "../observe/Logs.ts"
import { Metrics } from "../observe/Metrics.ts"
import * as AttachedProviders from "../policy/AttachedProviders.ts"
import { Configuration } from "../policy/Configuration.ts"
import * as CredentialRotation from "../reconcile/CredentialRotation.ts"
import * as Reconciler from "../reconcile/Reconciler.ts"
import { Arrivals } from "../sandbox/Arrivals.ts"
import { Residents } from "../sandbox/Residents.ts"
import * as SandboxActor from "../sandbox/SandboxActor.ts"
import * as SandboxActors from "../sandbox/SandboxActors.ts"
import { SandboxSettings } from "../sandbox/SandboxSettings.ts"
import { Database } from "../store/Database.ts"
import { ShardOwners } from "../store/ShardOwners.ts"
import * as Store from "../store/Store.ts"
import { type GatewaySettings, load } from "./GatewaySettings.ts"
import { clientListeners, healthListener, probe, Readiness } from "./Listeners.ts"

export type GatewayStartError = FailedPrecondition | Internal | InvalidArgument | Unavailable

const { version } = packageJson

/** Postgres holds the locks of a cluster; a single replica on SQLite needs none. */
const runnerStorage = (
  dialect: "postgres" | "sqlite",
): Layer.Layer<
  RunnerStorage.RunnerStorage | Ownership,
  FailedPrecondition | Internal,
  ClusterConfig | Membership | Metrics | SqlClient.SqlClient
> => (dialect === "postgres" ? PgRunnerStorage.layer : LocalRunnerStorage.layer)

const driver = (settings: GatewaySettings): Layer.Layer<Driver> => {
  if (settings.driverSocket !== undefined)
    return ExternalDriver.layer({ name: settings.driver, socketPath: settings.driverSocket })
  if (settings.driver === "none") return NoDriver.layer
  return ProcessDriver.layer({
    stateDir: settings.stateDir,
    endpoint: settings.sandboxEndpoint,
    logLevel: settings.logLevel,
    ca: Option.getOrUndefined(settings.sandboxCa),
    ...(settings.supervisorCommand.length === 0 ? {} : { command: settings.supervisorCommand }),
  })
}

/**
 * A replica is a member as soon as it has its locks, long before it can serve. Shards that it were given then would
 * be with nobody for as long as the rest of it takes to build.
 */
const joining = Layer.tap(Membership.layer, (context) => Context.get(context, Membership).withdraw(true))
const joined = Layer.effectDiscard(
  Effect.gen(function* () {
    // Connects it with the others, which the first open of each sandbox would wait for otherwise.
    yield* (yield* Steering).look
    yield* (yield* Membership).withdraw(false)
  }),
)

export const layer = (settings: GatewaySettings) => {
  const config = Layer.mergeAll(
    ClusterConfig.layer({
      clusterId: settings.clusterId,
      name: settings.name,
      incarnation: settings.incarnation,
      version,
      databaseUrl: settings.databaseUrl,
      peerListen: settings.peerListen,
      peerAdvertise: settings.peerAdvertise,
      url: settings.url,
      peerTls: { ca: settings.peerCa, cert: settings.peerCert, key: settings.peerKey },
      leaseMs: settings.leaseMs,
      fenceMs: settings.fenceMs,
    }),
    Layer.succeed(ApiSettings, { version, publicUrl: settings.publicUrl }),
    Layer.succeed(ServiceSettings, {
      domains: settings.serviceDomains,
      publicUrl: settings.publicUrl,
      loopbackHttp: settings.loopbackServiceHttp,
    }),
    Layer.succeed(SandboxSettings, { sessionGraceMs: settings.sessionGraceMs }),
    SandboxTokens.layer({
      directory: settings.jwtDir,
      gatewayId: settings.gatewayId,
      ttlMs: settings.sandboxTokenTtlMs,
    }),
    ExtensionTokens.layer({ directory: settings.jwtDir, gatewayId: settings.gatewayId }),
    Extensions.layer(settings.extensionServices.map(extensionService)),
    CredentialVault.layer({
      key: Option.getOrUndefined(settings.credentialKey),
      file: Option.getOrUndefined(settings.credentialKeyFile),
    }),
    driver(settings),
    Layer.succeed(DrainSettings, {
      batch: settings.drainBatch,
      intervalMs: settings.drainIntervalMs,
      deadlineMs: settings.drainDeadlineMs,
    }),
    ClientPorts.layer,
    Metrics.layer,
    Readiness.layer,
  )
  const store = Layer.provideMerge(
    ShardOwners.layer,
    Store.layer({
      url: settings.databaseUrl,
      clusterId: settings.clusterId,
      applicationName: `holdfast ${settings.name}`,
    }),
  )
  const peers = Layer.mergeAll(PeerListener.layer, Layer.provide(PeerDialer.layer, Cluster.serialization))

  const streams = Layer.provideMerge(ReplicaStreams.layer, RelayOpener.layer)

  const services = ServiceRoutes.layer.pipe(Layer.provide(ServiceGate.layer), Layer.provide(Directory.layer))

  const configuration = Layer.provideMerge(Configuration.layer, AttachedProviders.layer)

  return joined.pipe(
    Layer.provideMerge(Layer.mergeAll(clientListeners(settings), healthListener(settings), probe)),
    Layer.provideMerge(services),
    Layer.provideMerge(Layer.mergeAll(SandboxActor.layer, Reconciler.layer, CredentialRotation.layer)),
    Layer.provideMerge(
      Layer.mergeAll(streams, ConfigPush.layer, SessionStream.layer, ClusterEdges.serverLayer),
    ),
    Layer.provideMerge(Arrivals.layer),
    Layer.provideMerge(Isolation.layer),
    Layer.provideMerge(Drain.layer),
    Layer.provideMerge(Steering.layer),
    Layer.provideMerge(ClusterEdges.layer),
    Layer.provideMerge(Layer.mergeAll(LocalEdge.layer, OwnerHints.layer, Residents.layer, configuration)),
    Layer.provideMerge(PeerLegs.layer),
    Layer.provideMerge(SandboxActors.layer),
    Layer.provideMerge(Cluster.layer),
    Layer.provideMerge(Layer.unwrapEffect(Effect.map(Database, ({ dialect }) => runnerStorage(dialect)))),
    Layer.provideMerge(peers),
    Layer.provideMerge(joining),
    Layer.provideMerge(store),
    Layer.provideMerge(config),
  )
}

const stopSignals = ["SIGTERM", "SIGINT"] as const

/** The first signal asks this process to stop, the second to stop at once. Heard from here on. */
const listenForSignals = Effect.gen(function* () {
  const first = yield* Deferred.make<NodeJS.Signals>()
  const second = yield* Deferred.make<NodeJS.Signals>()
  let firstAtMs: number | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    const nowMs = performance.now()
    firstAtMs ??= nowMs
    Deferred.unsafeDone(first, Effect.succeed(signal))
    if (nowMs - firstAtMs > limits.signalRepeatMs) Deferred.unsafeDone(second, Effect.succeed(signal))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      for (const signal of stopSignals) process.on(signal, onSignal)
    }),
    () =>
      Effect.sync(() => {
        for (const signal of stopSignals) process.off(signal, onSignal)
      }),
  )
  return { first: Deferred.await(first), second: Deferred.await(second) } as const
})

/** What is left to close is nothing that anyone waits for: locks and sockets fall with the process. */
const endSoon = Effect.sync(() => {
  setTimeout(() => process.exit(0), limits.exitMs).unref()
})

/** Runs a replica until it is told to stop; the exit code of the process. */
export const runGateway = (
  flags: Readonly<Record<string, string>>,
): Effect.Effect<number, GatewayStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const settings = yield* load(flags, process.env)
    const level = Logs.levelOf(settings.logLevel)
    const running = Effect.gen(function* () {
      yield* boundHeapGrowth
      yield* trimWhenQuiet
      const context = yield* Layer.build(layer(settings))
      const { first, second } = yield* listenForSignals
      yield* Effect.logInfo(
        `Gateway ${settings.name} serves ${settings.listen.map(({ host, port }) => `${host}:${port}`).join(", ")}`,
      )
      yield* Effect.logInfo(`${yield* first}: stopping`)
      yield* Effect.flatMap(Drain, (drain) => drain.leave).pipe(
        Effect.raceFirst(
          Effect.flatMap(second, (signal) => Effect.logWarning(`${signal} again: stopping at once`)),
        ),
        Effect.provide(context),
      )
      yield* endSoon
      return 0
    })
    return yield* running.pipe(
      Effect.annotateLogs({ replica: settings.name }),
      level === undefined ? (effect) => effect : Logger.withMinimumLogLevel(level),
      Effect.provide(Logs.layer),
    )
  })
