/** What the fleet's process is told and what it says. */
import { createHash } from "node:crypto"
import { Option, Schema } from "effect"

export const FleetSpec = Schema.Struct({
  prefix: Schema.String,
  count: Schema.Number,
  /** Gateway URLs, tried in random order. */
  endpoints: Schema.Array(Schema.String),
  /** PEM file of the CA of https endpoints. */
  ca: Schema.optional(Schema.String),
  /** HOLDFAST_JWT_DIR and HOLDFAST_GATEWAY_ID of the cluster. */
  jwtDirectory: Schema.String,
  gatewayId: Schema.String,
  /** The first connections are spread evenly over this time. */
  rampMs: Schema.Number,
  /** `false`: supervisors of OpenShell's wire. */
  extensions: Schema.Boolean,
})
export type FleetSpec = typeof FleetSpec.Type

export const FleetReport = Schema.Struct({
  /** Sandboxes whose session is up. */
  attached: Schema.Number,
  /** Sessions accepted so far. */
  attaches: Schema.Number,
  /** Sessions that ended or did not come about. */
  failures: Schema.Number,
  /** Why the last of them failed; empty without any. */
  lastFailure: Schema.String,
  residentBytes: Schema.Number,
})
export type FleetReport = typeof FleetReport.Type

export const decodeSpec = Schema.decodeUnknown(Schema.parseJson(FleetSpec))

const decode = Schema.decodeUnknownOption(Schema.parseJson(FleetReport))
export const decodeReport = (line: string): FleetReport | undefined => Option.getOrUndefined(decode(line))

/** Sandbox ids are UUIDs; those of a fleet follow from its prefix, so that both sides know them. */
export const fleetId = (prefix: string, index: number): string => {
  const hex = createHash("sha256").update(`${prefix}:${index}`).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

export const fleetName = (prefix: string, index: number): string => `${prefix}-${index}`
