/** Commands that make the keys of a cluster whose replicas run on different machines. */
import type { Command } from "commander"
import { lazily, type TreeContext } from "../Tree.ts"

export const addKeyCommands = (gateway: Command, context: TreeContext): void => {
  gateway
    .command("create-keys")
    .description("make the certificate authority, the token key and the credential key of a cluster, once")
    .requiredOption(
      "--out <directory>",
      "gets peer-ca/, jwt/ and credentials/; keys that exist there are kept",
    )
    .option("--cluster-id <id>", "name of the cluster (HOLDFAST_CLUSTER_ID, else holdfast)")
    .action(lazily(context, async () => (await import("../commands/GatewayKeys.ts")).createKeys))
  gateway
    .command("issue-peer-certificate")
    .description("make the certificate with which one replica proves its membership to the others")
    .requiredOption("--ca-dir <directory>", "holds ca.pem and ca.key")
    .requiredOption("--out <directory>", "gets ca.pem, replica.pem and replica.key")
    .option("--name <name>", "name of the replica (HOLDFAST_NAME, else the host's name)")
    .option("--cluster-id <id>", "name of the cluster (HOLDFAST_CLUSTER_ID, else holdfast)")
    .action(lazily(context, async () => (await import("../commands/GatewayKeys.ts")).issueCertificate))
}
