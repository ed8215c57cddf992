/** Sandboxes, log lines and events between the domain and OpenShell's messages. */
import { fromJson, type JsonObject, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf"
import {
  type LogLine,
  type PlatformEvent,
  type Sandbox,
  SandboxPhase,
  type SandboxSpec,
  type SandboxTemplate,
} from "../../domain/Sandbox.ts"
import type * as Wire from "./Generated.ts"
import { SandboxPolicySchema, SandboxPhase as WirePhase } from "./Generated.ts"
import { optional } from "./Optional.ts"

const phases: { readonly [P in SandboxPhase]: WirePhase } = {
  Provisioning: WirePhase.PROVISIONING,
  Ready: WirePhase.READY,
  Error: WirePhase.ERROR,
  Deleting: WirePhase.DELETING,
  Unknown: WirePhase.UNKNOWN,
  Stopping: WirePhase.STOPPING,
  Stopped: WirePhase.STOPPED,
  Starting: WirePhase.STARTING,
}

const phaseNames = new Map(SandboxPhase.literals.map((name) => [phases[name], name] as const))

/** A number that this version does not know reads as Unknown. */
const phaseOf = (phase: WirePhase = WirePhase.UNSPECIFIED): SandboxPhase => phaseNames.get(phase) ?? "Unknown"

const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const templateToWire = (template: SandboxTemplate): MessageInitShape<typeof Wire.SandboxTemplateSchema> => ({
  image: template.image,
  runtimeClassName: template.runtimeClassName,
  agentSocket: template.agentSocket,
  labels: { ...template.labels },
  annotations: { ...template.annotations },
  environment: { ...template.environment },
  ...(isJsonObject(template.resources) ? { resources: template.resources } : {}),
  ...(isJsonObject(template.driverConfig) ? { driverConfig: template.driverConfig } : {}),
  ...optional("userNamespaces", template.userNamespaces),
})

export const specToWire = (spec: SandboxSpec): MessageInitShape<typeof Wire.SandboxSpecSchema> => ({
  logLevel: spec.logLevel,
  environment: { ...spec.environment },
  providers: [...spec.providers],
  command: [...spec.command],
  tty: spec.tty,
  ...(spec.policy === undefined
    ? {}
    : { policy: fromJson(SandboxPolicySchema, spec.policy as JsonValue, { ignoreUnknownFields: true }) }),
  ...(spec.gpu === undefined ? {} : { resourceRequirements: { gpu: optional("count", spec.gpu.count) } }),
  ...(spec.template === undefined ? {} : { template: templateToWire(spec.template) }),
})

const templateOf = (template: Wire.SandboxTemplate): SandboxTemplate => ({
  image: template.image,
  runtimeClassName: template.runtimeClassName,
  agentSocket: template.agentSocket,
  labels: template.labels,
  annotations: template.annotations,
  environment: template.environment,
  ...optional<"resources", JsonValue>("resources", template.resources),
  ...optional<"driverConfig", JsonValue>("driverConfig", template.driverConfig),
  ...optional("userNamespaces", template.userNamespaces),
})

export const specOf = (spec: Wire.SandboxSpec | undefined): SandboxSpec => ({
  logLevel: spec?.logLevel ?? "",
  environment: spec?.environment ?? {},
  providers: spec?.providers ?? [],
  command: spec?.command ?? [],
  tty: spec?.tty ?? false,
  ...(spec?.policy === undefined ? {} : { policy: toJson(SandboxPolicySchema, spec.policy) }),
  ...(spec?.resourceRequirements?.gpu === undefined
    ? {}
    : { gpu: optional("count", spec.resourceRequirements.gpu.count) }),
  ...(spec?.template === undefined ? {} : { template: templateOf(spec.template) }),
})

export const sandboxToWire = (sandbox: Sandbox): MessageInitShape<typeof Wire.SandboxSchema> => ({
  metadata: {
    id: sandbox.id,
    name: sandbox.name,
    createdAtMs: BigInt(sandbox.createdAtMs),
    labels: { ...sandbox.labels },
    annotations: { ...sandbox.annotations },
    resourceVersion: BigInt(sandbox.resourceVersion),
    workspace: sandbox.workspace,
    deletionTimestampMs: BigInt(sandbox.deletionTimestampMs),
  },
  spec: specToWire(sandbox.spec),
  status: {
    sandboxName: sandbox.name,
    agentPod: sandbox.status.agentPod,
    conditions: sandbox.status.conditions.map((condition) => ({ ...condition })),
    phase: phases[sandbox.status.phase],
    currentPolicyVersion: sandbox.status.currentPolicyVersion,
    mainProcessInstanceId: sandbox.status.mainProcessInstanceId,
    ...optional("exitCode", sandbox.status.exitCode),
  },
})

export const sandboxOf = (wire: Wire.Sandbox): Sandbox => ({
  id: wire.metadata?.id ?? "",
  workspace: wire.metadata?.workspace ?? "",
  name: wire.metadata?.name ?? "",
  createdAtMs: Number(wire.metadata?.createdAtMs ?? 0n),
  deletionTimestampMs: Number(wire.metadata?.deletionTimestampMs ?? 0n),
  labels: wire.metadata?.labels ?? {},
  annotations: wire.metadata?.annotations ?? {},
  resourceVersion: Number(wire.metadata?.resourceVersion ?? 0n),
  spec: specOf(wire.spec),
  status: {
    phase: phaseOf(wire.status?.phase),
    conditions: (wire.status?.conditions ?? []).map((condition) => ({
      type: condition.type,
      status:
        condition.status === "True" || condition.status === "False" ? condition.status : ("Unknown" as const),
      reason: condition.reason,
      message: condition.message,
      lastTransitionTime: condition.lastTransitionTime,
    })),
    agentPod: wire.status?.agentPod ?? "",
    currentPolicyVersion: wire.status?.currentPolicyVersion ?? 0,
    mainProcessInstanceId: wire.status?.mainProcessInstanceId ?? "",
    ...optional("exitCode", wire.status?.exitCode),
  },
})

export const logLineToWire = (line: LogLine): MessageInitShape<typeof Wire.SandboxLogLineSchema> => ({
  ...line,
  timestampMs: BigInt(line.timestampMs),
  fields: { ...line.fields },
})

export const logLineOf = (line: Wire.SandboxLogLine): LogLine => ({
  sandboxId: line.sandboxId,
  timestampMs: Number(line.timestampMs),
  level: line.level,
  target: line.target,
  message: line.message,
  source: line.source === "sandbox" ? "sandbox" : "gateway",
  fields: line.fields,
})

export const platformEventToWire = (
  event: PlatformEvent,
): MessageInitShape<typeof Wire.PlatformEventSchema> => ({
  ...event,
  timestampMs: BigInt(event.timestampMs),
  metadata: { ...event.metadata },
})

export const platformEventOf = (event: Wire.PlatformEvent): PlatformEvent => ({
  timestampMs: Number(event.timestampMs),
  source: event.source,
  type: event.type,
  reason: event.reason,
  message: event.message,
  metadata: event.metadata,
})
