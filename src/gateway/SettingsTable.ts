/**
 * The settings of a replica in words: the flags of `holdfast gateway run`, their help, and
 * `docs/reference/settings.md` come from here; `GatewaySettings.ts` reads them. Imports nothing, so that help
 * is quick.
 */
interface Row {
  /** What the value is, as help shows it. */
  readonly value: string
  readonly meaning: string
  /** What holds when it is not set; `required` when the gateway does not start without it. */
  readonly fallback: string
  /** Several values: with commas between them, and in the file also as an array. */
  readonly list?: true
  /** Never printed, and refused in a file. */
  readonly secret?: true
  /** OpenShell's variables of the same meaning; `config/OpenShellVariables.ts` reads them. */
  readonly openShell?: ReadonlyArray<string>
}

export const settingsTable = {
  name: {
    value: "name",
    meaning: "name of this replica, unique in the cluster",
    fallback: "the host's name",
    openShell: ["OPENSHELL_REPLICA_ID"],
  },
  clusterId: { value: "id", meaning: "name of the cluster", fallback: "holdfast" },
  databaseUrl: {
    value: "url",
    meaning: "postgres://… or sqlite:PATH",
    fallback: "required",
    secret: true,
    openShell: ["OPENSHELL_DB_URL"],
  },
  listen: {
    value: "host:port",
    meaning: "for clients and supervisors; several with commas between them",
    fallback: "127.0.0.1:17670",
    list: true,
    openShell: ["OPENSHELL_BIND_ADDRESS", "OPENSHELL_SERVER_PORT"],
  },
  peerListen: { value: "host:port", meaning: "for other replicas", fallback: "127.0.0.1:17680" },
  peerAdvertise: {
    value: "host:port",
    meaning: "where other replicas reach this one",
    fallback: "peer-listen",
  },
  metricsListen: {
    value: "host:port",
    meaning: "for /healthz, /readyz and /metrics; several with commas between them",
    fallback: "not served",
    list: true,
    openShell: ["OPENSHELL_HEALTH_PORT", "OPENSHELL_METRICS_PORT"],
  },
  peerCa: { value: "file", meaning: "PEM certificate authority of the cluster", fallback: "required" },
  peerCert: { value: "file", meaning: "PEM certificate of this replica", fallback: "required" },
  peerKey: { value: "file", meaning: "PEM key of this replica", fallback: "required" },
  jwtDir: {
    value: "directory",
    meaning: "signing.pem and public.pem for sandbox tokens, the same on all replicas",
    fallback: "required",
  },
  gatewayId: { value: "id", meaning: "issuer of sandbox tokens", fallback: "openshell" },
  credentialKeyFile: {
    value: "file",
    meaning:
      "keys that encrypt the credentials of providers, the same on all replicas: lines of name: base64 of 32 bytes, of which the first encrypts and all decrypt",
    fallback: "no providers",
  },
  credentialKey: {
    value: "base64",
    meaning: "one such key instead of a file, or after those of the file",
    fallback: "none",
    secret: true,
    openShell: ["OPENSHELL_GATEWAY_CREDENTIAL_KEY_ENCRYPTION_KEY"],
  },
  extensionServices: {
    value: "names",
    meaning:
      "middleware services that sandboxes get credentials for, with commas between them; name= for one that takes none",
    fallback: "none",
    list: true,
  },
  sandboxTokenTtlMs: { value: "ms", meaning: "life of a sandbox token; 0 for no end", fallback: "0" },
  publicUrl: { value: "url", meaning: "the address people use", fallback: "the first of listen" },
  sandboxEndpoint: { value: "url", meaning: "the address supervisors dial", fallback: "public-url" },
  sandboxCa: {
    value: "file",
    meaning: "PEM certificates by which sandboxes of the process driver know an https:// gateway",
    fallback: "none",
  },
  serviceDomains: {
    value: "domains",
    meaning: "under which services have their host names; the first is the one in their URLs",
    fallback: "openshell.localhost",
    list: true,
    openShell: ["OPENSHELL_SERVER_SAN"],
  },
  loopbackServiceHttp: {
    value: "boolean",
    meaning: "whether listeners on loopback serve services without TLS; others never do",
    fallback: "true",
    openShell: ["OPENSHELL_ENABLE_LOOPBACK_SERVICE_HTTP"],
  },
  stateDir: {
    value: "directory",
    meaning: "where the process driver keeps sandboxes",
    fallback: ".holdfast",
  },
  driver: {
    value: "name",
    meaning: "what runs sandboxes: process, none when others do, or any name for the one at driver-socket",
    fallback: "process; external with a driver-socket",
    openShell: ["OPENSHELL_DRIVERS"],
  },
  driverSocket: {
    value: "path",
    meaning: "Unix socket of a program that serves openshell.compute.v1.ComputeDriver",
    fallback: "none",
    openShell: ["OPENSHELL_COMPUTE_DRIVER_SOCKET"],
  },
  supervisorCommand: {
    value: "words",
    meaning: "program that the process driver starts as supervisor, with commas between its words",
    fallback: "this one's own",
    list: true,
  },
  logLevel: {
    value: "level",
    meaning: "error, warn, info, debug or trace",
    fallback: "info",
    openShell: ["OPENSHELL_LOG_LEVEL"],
  },
  tlsCert: {
    value: "file",
    meaning: "PEM certificate of the client listeners",
    fallback: "plain text",
    openShell: ["OPENSHELL_TLS_CERT", "OPENSHELL_DISABLE_TLS"],
  },
  tlsKey: {
    value: "file",
    meaning: "PEM key of the client listeners",
    fallback: "plain text",
    openShell: ["OPENSHELL_TLS_KEY", "OPENSHELL_DISABLE_TLS"],
  },
  sessionGraceMs: {
    value: "ms",
    meaning: "how long a sandbox without session stays ready",
    fallback: "30000",
  },
  advertiseUrl: {
    value: "url",
    meaning: "where supervisors reach this very replica, for moves of their sessions",
    fallback: "the first of listen; none if that is a wildcard",
  },
  drainBatch: {
    value: "count",
    meaning: "sessions, and clients, that are on their way from a draining replica at once",
    fallback: "16",
  },
  drainIntervalMs: { value: "ms", meaning: "how often the next are told", fallback: "25" },
  drainDeadlineMs: {
    value: "ms",
    meaning: "what cannot move from a draining replica is cut after this",
    fallback: "60000",
  },
  fenceMs: {
    value: "ms",
    meaning: "a replica without proof of its locks for this long stops acting",
    fallback: "5000",
  },
  leaseMs: {
    value: "ms",
    meaning: "the database ends a silent lock session after this; at least a second above fence-ms",
    fallback: "8000",
  },
} as const satisfies Readonly<Record<string, Row>>

export type SettingName = keyof typeof settingsTable

export const settingNames = Object.keys(settingsTable).filter((name): name is SettingName =>
  Object.hasOwn(settingsTable, name),
)

/** `peerListen` → `HOLDFAST_PEER_LISTEN` */
export const variableOf = (name: SettingName): string =>
  `HOLDFAST_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** A setting's row with the members that not every row has. */
export const settingOf = (name: SettingName): Row => settingsTable[name]

/** Tables of the file below `[holdfast]`: settings whose names begin so stand in them. */
const fileTables = ["peer", "drain", "tls"] as const

/** `peerListen` → `holdfast`, `peer`, `listen`: where the file has a setting. */
export const fileKeyOf = (name: SettingName): ReadonlyArray<string> => {
  const table = fileTables.find(
    (prefix) => name.startsWith(prefix) && /[A-Z]/.test(name[prefix.length] ?? ""),
  )
  const rest = table === undefined ? name : name.slice(table.length)
  const key = rest.replace(/^[A-Z]/, (first) => first.toLowerCase())
  return [
    "holdfast",
    ...(table === undefined ? [] : [table]),
    key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  ]
}

/** `peerListen` → `peer-listen`, without its dashes in front */
export const flagOf = (name: SettingName): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
