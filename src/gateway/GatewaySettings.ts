/** Settings of one replica: flags over environment variables over the configuration file over defaults. */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { Config, ConfigProvider, Effect, Either, Option } from "effect"
import type { HostPort } from "../cluster/ClusterConfig.ts"
import { InvalidArgument } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import * as Logs from "../observe/Logs.ts"
import { type Environment, type Flags, type Gathered, gather } from "./config/Gather.ts"
import { configName, problemsOf } from "./config/Judge.ts"
import { defaultServiceDomain } from "./config/OpenShellVariables.ts"
import { lineOf, placeOf } from "./config/Problem.ts"
import { atLeast, domains, hostPort, hostPorts } from "./config/Values.ts"
import type { SettingName } from "./SettingsTable.ts"

/** A host that means all addresses of a machine and therefore none that another could dial. */
const isWildcard = (host: string) => host === "0.0.0.0" || host === "::"

const settings = {
  name: Config.string("NAME").pipe(Config.withDefault(hostname())),
  clusterId: Config.string("CLUSTER_ID").pipe(Config.withDefault("holdfast")),
  databaseUrl: Config.redacted("DATABASE_URL"),
  listen: hostPorts("LISTEN").pipe(Config.withDefault([{ host: "127.0.0.1", port: 17_670 }])),
  peerListen: hostPort("PEER_LISTEN").pipe(Config.withDefault({ host: "127.0.0.1", port: 17_680 })),
  peerAdvertise: Config.option(hostPort("PEER_ADVERTISE")),
  metricsListen: hostPorts("METRICS_LISTEN").pipe(Config.withDefault([])),
  peerCa: Config.string("PEER_CA"),
  peerCert: Config.string("PEER_CERT"),
  peerKey: Config.string("PEER_KEY"),
  jwtDir: Config.string("JWT_DIR"),
  gatewayId: Config.string("GATEWAY_ID").pipe(Config.withDefault("openshell")),
  credentialKeyFile: Config.option(Config.string("CREDENTIAL_KEY_FILE")),
  credentialKey: Config.option(Config.redacted("CREDENTIAL_KEY")),
  extensionServices: Config.array(Config.string(), "EXTENSION_SERVICES").pipe(Config.withDefault([])),
  sandboxTokenTtlMs: Config.integer("SANDBOX_TOKEN_TTL_MS").pipe(Config.withDefault(0)),
  publicUrl: Config.option(Config.string("PUBLIC_URL")),
  sandboxEndpoint: Config.option(Config.string("SANDBOX_ENDPOINT")),
  sandboxCa: Config.option(Config.string("SANDBOX_CA")),
  serviceDomains: domains("SERVICE_DOMAINS").pipe(Config.withDefault([defaultServiceDomain] as const)),
  loopbackServiceHttp: Config.boolean("LOOPBACK_SERVICE_HTTP").pipe(Config.withDefault(true)),
  stateDir: Config.string("STATE_DIR").pipe(Config.withDefault(".holdfast")),
  driver: Config.option(Config.string("DRIVER")),
  driverSocket: Config.option(Config.string("DRIVER_SOCKET")),
  supervisorCommand: Config.array(Config.string(), "SUPERVISOR_COMMAND").pipe(Config.withDefault([])),
  logLevel: Config.string("LOG_LEVEL").pipe(
    Config.withDefault("info"),
    Config.validate({
      message: `expected one of ${Logs.levelNames.join(", ")}`,
      validation: (name) => Logs.levelOf(name) !== undefined,
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
} satisfies Readonly<Record<SettingName, Config.Config<unknown>>>

const all = Config.all(settings)

type Raw = Config.Config.Success<typeof all>

export interface GatewaySettings
  extends Omit<
    Raw,
    | "peerAdvertise"
    | "advertiseUrl"
    | "publicUrl"
    | "sandboxEndpoint"
    | "driver"
    | "driverSocket"
    | "tlsCert"
    | "tlsKey"
  > {
  readonly incarnation: string
  readonly peerAdvertise: HostPort
  /** Where this very replica is reached; empty when that is not known. */
  readonly url: string
  /** Where people reach the cluster. */
  readonly publicUrl: string
  readonly sandboxEndpoint: string
  /** `process`, `none`, or the name of the driver at `driverSocket`. */
  readonly driver: string
  readonly driverSocket: string | undefined
  readonly tls: { readonly cert: string; readonly key: string } | undefined
}

const isUrl = (text: string, protocols: RegExp): boolean =>
  URL.canParse(text) && protocols.test(new URL(text).protocol)

const builtIn: ReadonlySet<string> = new Set(["process", "none"])

const driverProblem = (driver: string | undefined, socket: string | undefined): string | undefined => {
  if (driver?.includes(",")) return `'${driver}' names several drivers: a gateway has one`
  if (driver === undefined || builtIn.has(driver))
    return driver !== undefined && socket !== undefined
      ? `'${driver}' needs no driver-socket: leave that out, or name the driver that serves it`
      : undefined
  return socket === undefined
    ? `'${driver}' is not built in (process and none are): give the driver-socket of a program that serves it`
    : undefined
}

/** What settings say of each other, under the name of the one to change. Looked at when all of them are sound. */
const rules: ReadonlyArray<readonly [SettingName, Config.Config<string | undefined>]> = [
  [
    "leaseMs",
    Config.map(Config.all([settings.leaseMs, settings.fenceMs]), ([lease, fence]) =>
      lease < fence + 1_000
        ? `lease-ms (${lease}) must exceed fence-ms (${fence}) by 1000 or more: a replica must stop acting before another may take over`
        : undefined,
    ),
  ],
  [
    "tlsKey",
    Config.map(Config.all([settings.tlsCert, settings.tlsKey]), ([cert, key]) =>
      Option.isSome(cert) === Option.isSome(key)
        ? undefined
        : "tls-cert and tls-key go together: set both or neither",
    ),
  ],
  [
    "listen",
    Config.map(settings.listen, (addresses) =>
      addresses.length === 0 ? "is empty: give at least one host:port" : undefined,
    ),
  ],
  [
    "publicUrl",
    Config.map(settings.publicUrl, (url) =>
      Option.isSome(url) && !URL.canParse(url.value) ? `'${url.value}' is not a URL` : undefined,
    ),
  ],
  [
    "advertiseUrl",
    Config.map(settings.advertiseUrl, (url) =>
      Option.isSome(url) && !isUrl(url.value, /^https?:$/)
        ? `'${url.value}' is not an http:// or https:// URL`
        : undefined,
    ),
  ],
  [
    "driver",
    Config.map(Config.all([settings.driver, settings.driverSocket]), ([driver, socket]) =>
      driverProblem(Option.getOrUndefined(driver), Option.getOrUndefined(socket)),
    ),
  ],
]

/** Only for settings that {@link rules} found sound. */
const complete = (raw: Raw): GatewaySettings => {
  const tls =
    Option.isSome(raw.tlsCert) && Option.isSome(raw.tlsKey)
      ? { cert: raw.tlsCert.value, key: raw.tlsKey.value }
      : undefined
  const first = raw.listen[0] ?? { host: "127.0.0.1", port: 17_670 }
  const own = `${tls === undefined ? "http" : "https"}://${first.host.includes(":") ? `[${first.host}]` : first.host}:${first.port}`
  const publicUrl = Option.getOrElse(raw.publicUrl, () => own)
  const driverSocket = Option.getOrUndefined(raw.driverSocket)
  return {
    ...raw,
    url: Option.getOrElse(raw.advertiseUrl, () => (isWildcard(first.host) ? "" : own)),
    incarnation: `${raw.name}/${randomBytes(4).toString("hex")}`,
    peerAdvertise: Option.getOrElse(raw.peerAdvertise, () => raw.peerListen),
    publicUrl,
    sandboxEndpoint: Option.getOrElse(raw.sandboxEndpoint, () => publicUrl),
    driver: Option.getOrElse(raw.driver, () => (driverSocket === undefined ? "process" : "external")),
    driverSocket,
    tls,
  }
}

export interface Inspection extends Gathered {
  /** Undefined when there are problems. */
  readonly settings: GatewaySettings | undefined
}

/** Reads everything that a replica was given and says all that is wrong with it. */
export const inspect = (flags: Flags, environment: Environment): Effect.Effect<Inspection> =>
  Effect.gen(function* () {
    const gathered = yield* gather(flags, environment)
    const { given } = gathered
    const provider = ConfigProvider.fromMap(
      new Map([...given].map(([name, { value }]) => [configName(name), value])),
      { seqDelim: "," },
    )
    const sourceOf = (name: SettingName) => given.get(name)?.source
    const problems = [...gathered.problems]
    const raw = yield* Effect.either(provider.load(all))
    if (Either.isLeft(raw)) problems.push(...(yield* problemsOf(settings, provider, given)))
    for (const [name, rule] of rules) {
      const message = yield* provider.load(rule).pipe(Effect.catchAll(() => Effect.succeed(undefined)))
      if (message !== undefined) problems.push({ where: placeOf(name, sourceOf(name)), message })
    }
    const sound = Either.isRight(raw) && problems.length === 0
    return { ...gathered, problems, settings: sound ? complete(raw.right) : undefined }
  })

/** `inspect` for whoever needs the settings; the refusal has a line for each problem, and notes are logged. */
export const load = (
  flags: Flags,
  environment: Environment,
): Effect.Effect<GatewaySettings, InvalidArgument> =>
  Effect.gen(function* () {
    const { settings: sound, problems, notes } = yield* inspect(flags, environment)
    if (sound === undefined) return yield* new InvalidArgument({ message: problems.map(lineOf).join("\n") })
    yield* Effect.provide(
      Effect.forEach(notes, (note) => Effect.logWarning(lineOf(note))),
      Logs.layer,
    )
    return sound
  })
