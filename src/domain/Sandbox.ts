/** A sandbox as Holdfast stores and serves it: desired state (spec), observed state (status), metadata. */
import { Schema } from "effect"

export const SandboxPhase = Schema.Literal(
  "Provisioning",
  "Ready",
  "Error",
  "Deleting",
  "Unknown",
  "Stopping",
  "Stopped",
  "Starting",
)
export type SandboxPhase = typeof SandboxPhase.Type

const StringMap = Schema.Record({ key: Schema.String, value: Schema.String })

export const SandboxTemplate = Schema.Struct({
  image: Schema.String,
  runtimeClassName: Schema.String,
  agentSocket: Schema.String,
  labels: StringMap,
  annotations: StringMap,
  environment: StringMap,
  /** Free-form JSON objects (google.protobuf.Struct on the wire). */
  resources: Schema.optional(Schema.Unknown),
  driverConfig: Schema.optional(Schema.Unknown),
  userNamespaces: Schema.optional(Schema.Boolean),
})
export type SandboxTemplate = typeof SandboxTemplate.Type

export const SandboxSpec = Schema.Struct({
  logLevel: Schema.String,
  environment: StringMap,
  template: Schema.optional(SandboxTemplate),
  /** The policy tree as JSON; opaque to everything but the wire and the policy code. */
  policy: Schema.optional(Schema.Unknown),
  providers: Schema.Array(Schema.String),
  /** GPU request: absent means none, `count` absent means the driver's default of one. */
  gpu: Schema.optional(Schema.Struct({ count: Schema.optional(Schema.Number) })),
  command: Schema.Array(Schema.String),
  tty: Schema.Boolean,
})
export type SandboxSpec = typeof SandboxSpec.Type

export const SandboxCondition = Schema.Struct({
  type: Schema.String,
  status: Schema.Literal("True", "False", "Unknown"),
  reason: Schema.String,
  message: Schema.String,
  /** RFC 3339 */
  lastTransitionTime: Schema.String,
})
export type SandboxCondition = typeof SandboxCondition.Type

export const SandboxStatus = Schema.Struct({
  phase: SandboxPhase,
  conditions: Schema.Array(SandboxCondition),
  /** What the driver calls the instance; empty before it exists. */
  agentPod: Schema.String,
  currentPolicyVersion: Schema.Number,
  mainProcessInstanceId: Schema.String,
  /** Present once the main process has ended. */
  exitCode: Schema.optional(Schema.Number),
})
export type SandboxStatus = typeof SandboxStatus.Type

export const Sandbox = Schema.Struct({
  id: Schema.String,
  workspace: Schema.String,
  name: Schema.String,
  createdAtMs: Schema.Number,
  /** 0 unless terminating. */
  deletionTimestampMs: Schema.Number,
  labels: StringMap,
  annotations: StringMap,
  resourceVersion: Schema.Number,
  spec: SandboxSpec,
  status: SandboxStatus,
})
export type Sandbox = typeof Sandbox.Type

/** The Ready condition, which says in words why a sandbox is not ready. */
export const readyConditionOf = (sandbox: Sandbox): SandboxCondition | undefined =>
  sandbox.status.conditions.find((condition) => condition.type === "Ready")

/** One supervisor session as the actor and the store know it. */
export const Presence = Schema.Struct({
  sandboxId: Schema.String,
  sessionId: Schema.String,
  instanceId: Schema.String,
  /** Order of instances and of their connections; 0 where the supervisor does not say (OpenShell). */
  instanceStartedAtMs: Schema.Number,
  connectionEpoch: Schema.Number,
  /** Name of the replica whose edge holds the socket. */
  replica: Schema.String,
  attachedAtMs: Schema.Number,
  /** When the session was seen lost; absent while it lives. */
  lostAtMs: Schema.optional(Schema.Number),
  /** Instances that were superseded and may not return, newest first. */
  retiredInstances: Schema.Array(Schema.String),
})
export type Presence = typeof Presence.Type

/** Where a relay ends inside the sandbox. Hosts are loopback only. */
export const RelayTarget = Schema.Union(
  Schema.Struct({ kind: Schema.Literal("ssh") }),
  Schema.Struct({ kind: Schema.Literal("tcp"), host: Schema.String, port: Schema.Number }),
)
export type RelayTarget = typeof RelayTarget.Type

/** What a relay has to carry when it is a carrier of a resumable stream that ends in the supervisor. */
export const StreamCarrier = Schema.Struct({
  /** SHA-256 of the stream's id in hex: the same for all carriers of one stream. */
  key: Schema.String,
  kind: Schema.Literal("ssh", "tcp", "exec"),
  /** On whose behalf; the same wherever the client comes in. */
  binding: Schema.String,
  /** The client's replica resumes, not the client: of use only where the session is on another replica. */
  byReplica: Schema.optional(Schema.Boolean),
})
export type StreamCarrier = typeof StreamCarrier.Type

export const LogLine = Schema.Struct({
  sandboxId: Schema.String,
  timestampMs: Schema.Number,
  level: Schema.String,
  target: Schema.String,
  message: Schema.String,
  source: Schema.Literal("gateway", "sandbox"),
  fields: StringMap,
})
export type LogLine = typeof LogLine.Type

export const PlatformEvent = Schema.Struct({
  timestampMs: Schema.Number,
  source: Schema.String,
  type: Schema.String,
  reason: Schema.String,
  message: Schema.String,
  metadata: StringMap,
})
export type PlatformEvent = typeof PlatformEvent.Type
