/** Keys of a cluster whose replicas run on different machines: made once, handed out, then used by each replica. */
import { hostname } from "node:os"
import path from "node:path"
import { Config, ConfigProvider, Effect } from "effect"
import { ensureCredentialKeys } from "../auth/CredentialKeys.ts"
import { ensureJwtKeys } from "../auth/JwtKeys.ts"
import type { PkiError } from "../auth/KeyFiles.ts"
import { ensureCa, issueReplica } from "../auth/PeerCertificates.ts"
import { InvalidArgument } from "../domain/Errors.ts"

/** Undefined: HOLDFAST_NAME and HOLDFAST_CLUSTER_ID as for `gateway run`, then their defaults. */
export interface IssueOptions {
  readonly caDir: string
  readonly out: string
  readonly name?: string | undefined
  readonly clusterId?: string | undefined
}

const environment = Config.all({
  name: Config.string("NAME").pipe(Config.withDefault(hostname())),
  clusterId: Config.string("CLUSTER_ID").pipe(Config.withDefault("holdfast")),
}).pipe(Config.nested("HOLDFAST"))

const fromEnvironment = environment.pipe(
  Effect.withConfigProvider(ConfigProvider.fromEnv()),
  Effect.mapError(
    () => new InvalidArgument({ message: "HOLDFAST_NAME and HOLDFAST_CLUSTER_ID are not texts" }),
  ),
)

/** The certificate of one replica; the lines to print are the settings that use it. */
export const issuePeerCertificate = (
  options: IssueOptions,
): Effect.Effect<ReadonlyArray<string>, PkiError | InvalidArgument> =>
  Effect.gen(function* () {
    const settings = yield* fromEnvironment
    const files = yield* issueReplica({
      caDirectory: options.caDir,
      out: options.out,
      name: options.name ?? settings.name,
      clusterId: options.clusterId ?? settings.clusterId,
    })
    return [
      `HOLDFAST_PEER_CA=${files.ca}`,
      `HOLDFAST_PEER_CERT=${files.cert}`,
      `HOLDFAST_PEER_KEY=${files.key}`,
    ]
  })

/** `<out>/peer-ca`, `<out>/jwt` and `<out>/credentials`; what exists is kept. The lines to print name them. */
export const createClusterKeys = (options: {
  readonly out: string
  readonly clusterId?: string | undefined
}): Effect.Effect<ReadonlyArray<string>, PkiError | InvalidArgument> =>
  Effect.gen(function* () {
    const settings = yield* fromEnvironment
    const ca = path.join(options.out, "peer-ca")
    const jwt = path.join(options.out, "jwt")
    yield* ensureCa(ca, options.clusterId ?? settings.clusterId)
    yield* ensureJwtKeys(jwt)
    return [ca, jwt, yield* ensureCredentialKeys(path.join(options.out, "credentials"))]
  })
