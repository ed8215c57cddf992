/** Runs a cluster of stand-ins on the state directory argv[2], prints the pids of its replicas, and waits. */
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import * as LocalCluster from "../../src/local/LocalCluster.ts"

await Effect.runPromise(
  LocalCluster.start({
    stateDir: process.argv[2] ?? "",
    replicas: 2,
    port: 0,
    database: { url: "postgres://nobody@127.0.0.1:1/none" },
    gatewayCommand: [process.execPath, fileURLToPath(new URL("standInGateway.ts", import.meta.url))],
  }).pipe(
    Effect.tap((cluster) =>
      Effect.sync(() =>
        process.stdout.write(`${JSON.stringify(cluster.replicas().map(({ pid }) => pid))}\n`),
      ),
    ),
    Effect.zipRight(Effect.never),
    Effect.scoped,
  ),
)
