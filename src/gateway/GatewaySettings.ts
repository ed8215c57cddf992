/** Settings of one replica: flags over `HOLDFAST_*` environment variables over defaults. */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { Config, ConfigError, ConfigProvider, Effect, Either, Option } from "effect"
import type { HostPort } from "../cluster/ClusterConfig.ts"
import { InvalidArgument } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { levelNames, levelOf } from "../observe/Logs.ts"
import type { SettingName } from "./SettingsTable.ts"

const asHostPort = (name: string, text: string): Either.Either<HostPort, ConfigError.ConfigError> => {
  const address = parseHostPort(text)
  return address === undefined
    ? Either.left(configError(name, `'${text}' is not host:port`))
    : Either.right(address)
}

const hostPort = (name: string) =>
  Config.string(name).pipe(Config.mapOrFail((text) => asHostPort(name, text)))

const configError = (name: string, message: string) => ConfigError.InvalidData([name], message)

const atLeast = (name: string, least: number) =>
  Config.integer(name).pipe(
    Config.validate({ message: `expected ${least} or more`, validation: (value) => value >= least }),
  )

/** A host that means all addresses of a machine and therefore none that another could dial. */
const isWildcard = (host: string) => host === "0.0.0.0" || host === "::"

/** `host:port` or `[v6]:port`; undefined otherwise. */
export const parseHostPort = (text: string): HostPort | undefined => {
  const match = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[2])
  if (match?.[1] === undefined || port > 65_535) return undefined
  return { host: match[1].replace(/^\[(.*)\]$/, "$1"), port }
}

const settings = Config.all({
  name: Config.string("NAME").pipe(Config.withDefault(hostname())),
  clusterId: Config.string("CLUSTER_ID").pipe(Config.withDefault("holdfast")),
  databaseUrl: Config.redacted("DATABASE_URL"),
  listen: Config.array(Config.string(), "LISTEN").pipe(
    Config.withDefault(["127.0.0.1:17670"]),
    Config.mapOrFail((texts) => Either.all(texts.map((text) => asHostPort("LISTEN", text)))),
  ),
  peerListen: hostPort("PEER_LISTEN").pipe(Config.withDefault({ host: "127.0.0.1", port: 17_680 })),
  peerAdvertise: Config.option(hostPort("PEER_ADVERTISE")),
  metricsListen: Config.option(hostPort("METRICS_LISTEN")),
  peerCa: Config.string("PEER_CA"),
  peerCert: Config.string("PEER_CERT"),
  peerKey: Config.string("PEER_KEY"),
  jwtDir: Config.string("JWT_DIR"),
  gatewayId: Config.string("GATEWAY_ID").pipe(Config.withDefault("openshell")),
  sandboxTokenTtlMs: Config.integer("SANDBOX_TOKEN_TTL_MS").pipe(Config.withDefault(0)),
  publicUrl: Config.option(Config.string("PUBLIC_URL")),
  sandboxEndpoint: Config.option(Config.string("SANDBOX_ENDPOINT")),
  stateDir: Config.string("STATE_DIR").pipe(Config.withDefault(".holdfast")),
  driver: Config.literal("process", "none")("DRIVER").pipe(Config.withDefault("process" as const)),
  supervisorCommand: Config.array(Config.string(), "SUPERVISOR_COMMAND").pipe(Config.withDefault([])),
  logLevel: Config.string("LOG_LEVEL").pipe(
    Config.withDefault("info"),
    Config.validate({
      message: `expected one of ${levelNames.join(", ")}`,
      validation: (name) => levelOf(name) !== undefined,
    }),
  ),
  tlsCert: Config.option(Config.string("TLS_CERT")),
  tlsKey: Config.option(Config.string("TLS_KEY")),
  sessionGraceMs: Config.integer("SESSION_GRACE_MS").pipe(Config.withDefault(limits.sessionGraceMs)),
  advertiseUrl: Config.option(Config.string("ADVERTISE_URL")),
  drainBatch: atLeast("DRAIN_BATCH", 1).pipe(Config.withDefault(limits.drainBatch)),
  drainIntervalMs: atLeast("DRAIN_INTERVAL_MS", limits.drainPollMs).pipe(
    Config.withDefault(limits.drainIntervalMs),
  ),
  drainDeadlineMs: atLeast("DRAIN_DEADLINE_MS", 0).pipe(Config.withDefault(limits.drainDeadlineMs)),
  fenceMs: Config.integer("FENCE_MS").pipe(Config.withDefault(limits.fenceMs)),
  leaseMs: Config.integer("LEASE_MS").pipe(Config.withDefault(limits.leaseMs)),
} satisfies Readonly<Record<SettingName, Config.Config<unknown>>>)

type Raw = Config.Config.Success<typeof settings>

export interface GatewaySettings
  extends Omit<
    Raw,
    | "peerAdvertise"
    | "advertiseUrl"
    | "publicUrl"
    | "sandboxEndpoint"
    | "metricsListen"
    | "tlsCert"
    | "tlsKey"
  > {
  readonly incarnation: string
  readonly peerAdvertise: HostPort
  readonly metricsListen: HostPort | undefined
  /** Where this very replica is reached; empty when that is not known. */
  readonly url: string
  /** Where people reach the cluster. */
  readonly publicUrl: string
  readonly sandboxEndpoint: string
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

/** `peerListen` → `PEER_LISTEN` */
const environmentName = (camel: string) => camel.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()

const refuse = (message: string) => new InvalidArgument({ message })

const complete = (raw: Raw): Effect.Effect<GatewaySettings, InvalidArgument> =>
  Effect.gen(function* () {
    if (raw.leaseMs < raw.fenceMs + 1_000)
      return yield* refuse(
        `HOLDFAST_LEASE_MS (${raw.leaseMs}) must exceed HOLDFAST_FENCE_MS (${raw.fenceMs}) by 1000 or more: a replica must stop acting before another may take over`,
      )
    const tls =
      Option.isSome(raw.tlsCert) && Option.isSome(raw.tlsKey)
        ? { cert: raw.tlsCert.value, key: raw.tlsKey.value }
        : undefined
    if (Option.isSome(raw.tlsCert) !== Option.isSome(raw.tlsKey))
      return yield* refuse("HOLDFAST_TLS_CERT and HOLDFAST_TLS_KEY go together: set both or neither")
    const first = raw.listen[0]
    if (first === undefined) return yield* refuse("HOLDFAST_LISTEN is empty: give at least one host:port")
    const own = `${tls === undefined ? "http" : "https"}://${first.host.includes(":") ? `[${first.host}]` : first.host}:${first.port}`
    const publicUrl = Option.getOrElse(raw.publicUrl, () => own)
    if (!URL.canParse(publicUrl)) return yield* refuse(`HOLDFAST_PUBLIC_URL '${publicUrl}' is not a URL`)
    const advertised = Option.getOrElse(raw.advertiseUrl, () => (isWildcard(first.host) ? "" : own))
    if (advertised !== "" && !/^https?:$/.test(URL.canParse(advertised) ? new URL(advertised).protocol : ""))
      return yield* refuse(`HOLDFAST_ADVERTISE_URL '${advertised}' is not an http:// or https:// URL`)
    return {
      ...raw,
      url: advertised,
      incarnation: `${raw.name}/${randomBytes(4).toString("hex")}`,
      peerAdvertise: Option.getOrElse(raw.peerAdvertise, () => raw.peerListen),
      metricsListen: Option.getOrUndefined(raw.metricsListen),
      publicUrl,
      sandboxEndpoint: Option.getOrElse(raw.sandboxEndpoint, () => publicUrl),
      tls,
    }
  })

/** Flags by camel-case name win over the environment. Refusals name the variable. */
export const load = (
  flags: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Effect.Effect<GatewaySettings, InvalidArgument> => {
  const values = new Map<string, string>()
  for (const [key, value] of Object.entries(environment))
    if (key.startsWith("HOLDFAST_") && value !== undefined && value !== "")
      values.set(key.slice("HOLDFAST_".length), value)
  for (const [key, value] of Object.entries(flags)) values.set(environmentName(key), value)
  return ConfigProvider.fromMap(values, { seqDelim: "," })
    .load(settings)
    .pipe(
      Effect.mapError((error) => refuse(explain(error))),
      Effect.flatMap(complete),
    )
}

const explain = (error: ConfigError.ConfigError): string => {
  switch (error._op) {
    case "And":
    case "Or":
      return explain(error.left)
    case "MissingData":
      return `HOLDFAST_${error.path.join("_")} is not set: give the flag or the environment variable`
    default:
      return `HOLDFAST_${error.path.join("_")}: ${error.message}`
  }
}
