/** A cluster that the drill starts for itself in a temporary directory, and ends and deletes afterwards. */
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { Effect, type Scope } from "effect"
import * as LocalCluster from "../../local/LocalCluster.ts"
import { DrillError, failed } from "../DrillError.ts"
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

export interface OwnCluster extends Site {
  readonly stateDirectory: string
  readonly databaseUrl: string
  readonly clusterId: string
}

const clusterId = "drill"

const noDatabase = new DrillError({ message: "this cluster has no Postgres of its own" })

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

export const start = (options: {
  readonly replicas: number
  /** Their links can be cut. */
  readonly partitioned: boolean
}): Effect.Effect<OwnCluster, DrillError, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* stateDirectory
    const names = Array.from({ length: options.replicas }, (_, index) => `replica-${index + 1}`)
    const links = options.partitioned ? yield* ProxyLinks.make(names) : undefined
    const cluster = yield* LocalCluster.start({
      stateDir: directory,
      replicas: options.replicas,
      port: 0,
      database: "postgres",
      durability: "none",
      clusterId,
      ...(links === undefined ? {} : { environment: links.environment }),
    }).pipe(Effect.mapError(failed("the cluster does not start")))
    links?.identify(cluster.replicas)
    return {
      endpoint: { url: cluster.frontDoor },
      workspace: "default",
      replicas: Effect.sync(() => cluster.replicas().filter(({ pid }) => pid !== 0)),
      controls: controlsOf(cluster, links),
      disposable: true,
      stateDirectory: directory,
      databaseUrl: cluster.postgres?.url ?? "",
      clusterId,
    }
  })
