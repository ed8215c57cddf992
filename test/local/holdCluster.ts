/**
 * Runs a cluster of stand-ins on the state directory argv[2] and the port argv[3], prints the pids of its
 * replicas and its Postgres, and waits.
 */
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import * as LocalCluster from "../../src/local/LocalCluster.ts"

await Effect.runPromise(
  LocalCluster.start({
    stateDir: process.argv[2] ?? "",
    replicas: 2,
    port: Number(process.argv[3]),
    database: "postgres",
    gatewayCommand: [process.execPath, fileURLToPath(new URL("standInGateway.ts", import.meta.url))],
  }).pipe(
    Effect.tap((cluster) =>
      Effect.sync(() =>
        process.stdout.write(
          `${JSON.stringify([cluster.postgres?.pid, ...cluster.replicas().map(({ pid }) => pid)])}\n`,
        ),
      ),
    ),
    Effect.zipRight(Effect.never),
    Effect.scoped,
  ),
)
