import { Clock, Effect } from "effect"
import type { GatewayClientService } from "../../client/GatewayClient.ts"
import type { ReplicaStatus } from "../../domain/Cluster.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { print, printJson, printListing, renderFields, say } from "../Output.ts"
import { green, red } from "../text/Color.ts"
import { formatAge } from "../text/Duration.ts"
import type { Column } from "../text/Table.ts"

const replicaColumns = (nowMs: number): ReadonlyArray<Column<ReplicaStatus>> => [
  { heading: "REPLICA", value: ({ name, self }) => (self ? `${name}*` : name) },
  {
    heading: "LIVE",
    value: ({ live }) => (live ? "yes" : "no"),
    paint: (cell, { live }) => (live ? green(cell) : red(cell)),
  },
  { heading: "SHARDS", value: ({ shards }) => String(shards), alignRight: true },
  { heading: "SESSIONS", value: ({ sessions }) => String(sessions), alignRight: true },
  { heading: "RELAYS", value: ({ relays }) => String(relays), alignRight: true },
  {
    heading: "STATE",
    value: ({ live, draining, drainRemaining }) =>
      live ? (draining ? `draining, ${drainRemaining} left` : "serving") : "gone",
  },
  {
    heading: "AGE",
    value: ({ startedAtMs, live }) => (live && startedAtMs > 0 ? formatAge(nowMs - startedAtMs) : ""),
  },
]

const wideColumns: ReadonlyArray<Column<ReplicaStatus>> = [
  { heading: "VERSION", value: ({ version }) => version },
  { heading: "ADDRESS", value: ({ address }) => address },
  { heading: "URL", value: ({ url }) => url },
]

export const replicaJson = (replica: ReplicaStatus) => ({
  name: replica.name,
  live: replica.live,
  address: replica.address,
  url: replica.url,
  shards: replica.shards,
  sessions: replica.sessions,
  relays: replica.relays,
  draining: replica.draining,
  drainRemaining: replica.drainRemaining,
  startedAtMs: replica.startedAtMs,
  version: replica.version,
  self: replica.self,
})

export const byName = (replicas: ReadonlyArray<ReplicaStatus>): ReadonlyArray<ReplicaStatus> =>
  replicas.toSorted((left, right) => left.name.localeCompare(right.name, "en", { numeric: true }))

/** Exit code 0 while every replica is live, 1 otherwise: usable as a check. */
export const gatewayStatus: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const status = yield* gateway.clusterStatus.pipe(
      Effect.catchTag("Unimplemented", () => Effect.succeed(undefined)),
      attempting(gateway, { action: "read the gateway's status" }),
    )
    if (status === undefined) return yield* plainStatus(gateway, invocation)
    const { clusterId, answeredBy, skew } = status
    const replicas = byName(status.replicas)
    if (invocation.globals.output === "json") {
      yield* printJson({
        clusterId,
        answeredBy,
        gateway: gateway.endpoint.url,
        skew,
        replicas: replicas.map(replicaJson),
      })
    } else {
      yield* printListing(invocation, {
        rows: replicas,
        columns: replicaColumns(yield* Clock.currentTimeMillis),
        wide: wideColumns,
        json: replicaJson,
        name: ({ name }) => name,
        empty: "No replicas.",
      })
      if (invocation.globals.output !== "name") {
        const spread = skew === 0 ? "" : `; sessions: skew ${skew.toFixed(2)} (fullest over mean)`
        yield* say(`Cluster "${clusterId}" at ${gateway.endpoint.url}; * answered${spread}.`)
      }
    }
    return replicas.every(({ live }) => live) ? 0 : 1
  })

/** Any other gateway of this wire says how it is and what it runs. */
const plainStatus = (gateway: GatewayClientService, invocation: Invocation) =>
  Effect.gen(function* () {
    const attempt = attempting(gateway, { action: "read the gateway's status" })
    const health = yield* gateway.health.pipe(attempt)
    const info = yield* Effect.option(gateway.gatewayInfo)
    const drivers = info._tag === "Some" ? info.value.drivers.map(({ name }) => name) : []
    const state = health.status
    if (invocation.globals.output === "json") {
      yield* printJson({ gateway: gateway.endpoint.url, status: state, version: health.version, drivers })
    } else {
      const fields = [
        ["Gateway", gateway.endpoint.url],
        ["Status", state],
        ["Version", health.version],
        ["Drivers", drivers.join(", ")],
      ] as const
      yield* print(renderFields(fields))
    }
    return health.status === "healthy" ? 0 : 1
  })
