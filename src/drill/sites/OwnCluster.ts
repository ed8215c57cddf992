/** A cluster that the drill starts for itself in a temporary directory, and ends and deletes afterwards. */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { Effect, Layer, type Scope } from "effect"
import * as SandboxTokens from "../../auth/SandboxTokens.ts"
import type { Endpoint } from "../../client/Endpoint.ts"
import { mainModule } from "../../domain/Installation.ts"
import { limits } from "../../domain/Limits.ts"
import { supervisorNodeFlags } from "../../domain/NodeFlags.ts"
import { Driver } from "../../driver/Driver.ts"
import * as ProcessDriver from "../../driver/ProcessDriver.ts"
import * as LocalCluster from "../../local/LocalCluster.ts"
import * as Settings from "../../local/ReplicaSettings.ts"
import { DrillError, failed } from "../DrillError.ts"
import * as Fleet from "../fleet/Fleet.ts"
import type { FleetReport } from "../fleet/FleetSpec.ts"
import { transactionsOf } from "../watch/Transactions.ts"
import * as PacketLinks from "./PacketLinks.ts"
import * as ProxyLinks from "./ProxyLinks.ts"
import type { Controls, Links, Site } from "./Site.ts"

const stateDirectory = Effect.acquireRelease(
  Effect.promise(async () => {
    const directory = await mkdtemp(path.join(tmpdir(), "holdfast-drill-"))
    // Postgres runs as another account than root and must be able to enter.
    await chmod(directory, 0o711)
    return directory
  }),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true })),
)

const clusterId = "drill"
/** The default of HOLDFAST_GATEWAY_ID. */
const gatewayId = "openshell"

/** Our supervisor as one of OpenShell's. */
const plainSupervisor = [
  process.execPath,
  ...supervisorNodeFlags,
  mainModule,
  "supervisor",
  "--no-extensions",
] as const

const noDatabase = new DrillError({ message: "this cluster has no Postgres of its own" })

/** The certificates of replicas among themselves are good for `localhost` and 127.0.0.1 as well. */
const tlsEnvironment = (usual: Readonly<Record<string, string>>): Record<string, string> => ({
  HOLDFAST_TLS_CERT: usual.HOLDFAST_PEER_CERT ?? "",
  HOLDFAST_TLS_KEY: usual.HOLDFAST_PEER_KEY ?? "",
  HOLDFAST_SANDBOX_CA: usual.HOLDFAST_PEER_CA ?? "",
  HOLDFAST_PUBLIC_URL: (usual.HOLDFAST_PUBLIC_URL ?? "").replace(/^http:/, "https:"),
})

const authorityOf = (stateDir: string): string => path.join(Settings.pkiDirectory(stateDir), "ca.pem")

const addressOf = (url: string, { tls }: Endpoint): string =>
  tls === undefined ? url : url.replace(/^http:/, "https:")

const tlsEndpoint = ({
  frontDoor,
  stateDir,
}: LocalCluster.LocalCluster): Effect.Effect<Endpoint, DrillError> =>
  Effect.tryPromise({
    try: async () => {
      const tls = { ca: await readFile(authorityOf(stateDir), "utf8") }
      return { url: addressOf(frontDoor, { url: frontDoor, tls }), tls }
    },
    catch: (cause) => new DrillError({ message: `no certificate authority: ${cause}` }),
  })

const controlsOf = (cluster: LocalCluster.LocalCluster, links: Links | undefined): Controls => {
  const asking =
    (what: string, run: (name: string) => Effect.Effect<unknown, LocalCluster.LocalClusterError>) =>
    (name: string): Effect.Effect<void, DrillError> =>
      Effect.asVoid(Effect.mapError(run(name), failed(`cannot ${what} ${name}`)))
  return {
    kill: asking("kill", cluster.kill),
    stop: asking("stop", cluster.stop),
    start: asking("start", cluster.restart),
    freeze: asking("freeze", cluster.freeze),
    thaw: asking("thaw", cluster.thaw),
    add: Effect.mapError(cluster.add, failed("cannot add a replica")),
    database: {
      stop: cluster.postgres?.stop ?? noDatabase,
      start: Effect.mapError(cluster.postgres?.restart ?? noDatabase, failed("cannot start the database")),
    },
    links,
  }
}

/** Runs what a cluster without a driver leaves to others: the load's sandboxes, and a fleet of idle ones. */
const runElsewhere = (
  cluster: LocalCluster.LocalCluster,
  endpoint: Endpoint,
  extensions: boolean,
): Required<Pick<Site, "run" | "idleSessions">> => {
  const { stateDir } = cluster
  const ca = endpoint.tls === undefined ? undefined : authorityOf(stateDir)
  const jwtDirectory = Settings.jwtDirectory(stateDir)
  const layer = Layer.merge(
    ProcessDriver.layer({
      ...{ stateDir, endpoint: endpoint.url, logLevel: "info", ca },
      ...(extensions ? {} : { command: plainSupervisor }),
    }),
    SandboxTokens.layer({ directory: jwtDirectory, gatewayId, ttlMs: 0 }),
  )
  return {
    run: ({ id, name, workspace, spec }) =>
      Effect.gen(function* () {
        const { token } = yield* (yield* SandboxTokens.SandboxTokens).mint(id)
        yield* (yield* Driver).create({ id, name, workspace, spec, token })
      }).pipe(Effect.provide(layer), Effect.mapError(failed(`cannot start the sandbox ${name}`))),
    idleSessions: (count) =>
      Effect.gen(function* () {
        const fleet = yield* Fleet.start({
          ...{ count, jwtDirectory, gatewayId, clusterId, extensions, prefix: "idle" },
          databaseUrl: cluster.postgres?.url ?? "",
          // Past the front door, which would carry every session in the process that takes the times.
          endpoints: cluster.replicas().map(({ url }) => addressOf(url, endpoint)),
          ...(ca === undefined ? {} : { ca }),
          rampMs: Math.ceil(count / limits.drillIdlePerSecond) * 1_000,
        })
        const all = ({ attached }: FleetReport) => attached >= count
        yield* fleet.until(`${count} idle sessions`, all, limits.drillIdleMs)
        return {
          count,
          attached: () => fleet.report().attached,
          attaches: () => fleet.report().attaches,
        }
      }).pipe(Effect.mapError(failed("no idle sessions"))),
  }
}

export const start = (options: {
  readonly replicas: number
  /** How their links can be cut, if they can. */
  readonly links: "packets" | "proxies" | "none"
  /** It gets idle sessions: then it runs no sandboxes by itself, for it would start those of the fleet too. */
  readonly idle: boolean
  readonly tls: boolean
  /** `false`: supervisors of OpenShell's wire. */
  readonly extensions: boolean
  readonly drainDeadlineMs: number
}): Effect.Effect<Site, DrillError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* stateDirectory
    const names = Array.from({ length: options.replicas }, (_, index) => `replica-${index + 1}`)
    const proxies = options.links === "proxies" ? yield* ProxyLinks.make(names) : undefined
    const links = options.links === "packets" ? PacketLinks.make() : proxies
    const cluster = yield* LocalCluster.start({
      stateDir: directory,
      replicas: options.replicas,
      port: 0,
      database: "postgres",
      durability: "none",
      clusterId,
      environment: (name, usual) => ({
        HOLDFAST_DRAIN_DEADLINE_MS: String(options.drainDeadlineMs),
        ...(options.extensions ? {} : { HOLDFAST_SUPERVISOR_COMMAND: plainSupervisor.join(",") }),
        ...(options.idle ? { HOLDFAST_DRIVER: "none" } : {}),
        ...(options.tls ? tlsEnvironment(usual) : {}),
        ...links?.environment(name, usual),
      }),
      ...(options.links === "packets" ? { gatewayCommand: PacketLinks.gatewayCommand } : {}),
    }).pipe(Effect.mapError(failed("the cluster does not start")))
    proxies?.identify(cluster.replicas)
    const endpoint = options.tls ? yield* tlsEndpoint(cluster) : { url: cluster.frontDoor }
    return {
      endpoint,
      workspace: "default",
      replicas: Effect.sync(() =>
        cluster
          .replicas()
          .filter(({ pid }) => pid !== 0)
          .map((replica) => ({ ...replica, url: addressOf(replica.url, endpoint) })),
      ),
      ...(cluster.postgres === undefined ? {} : { transactions: transactionsOf(cluster.postgres.url) }),
      controls: controlsOf(cluster, links),
      disposable: true,
      drainDeadlineMs: options.drainDeadlineMs,
      ...(options.idle ? runElsewhere(cluster, endpoint, options.extensions) : {}),
    }
  })
