/** Sandboxes between the wire and the domain, as a client sees them. */
import { type JsonValue, toJson } from "@bufbuild/protobuf"
import type { LogLine, PlatformEvent, Sandbox, SandboxPhase, SandboxSpec } from "../domain/Sandbox.ts"
import type * as Wire from "../wire/OpenShell.ts"
import { SandboxPolicySchema } from "../wire/OpenShell.ts"

/** By wire number; a number that this version does not know reads as Unknown. */
const phases: ReadonlyArray<SandboxPhase> = [
  "Unknown",
  "Provisioning",
  "Ready",
  "Error",
  "Deleting",
  "Unknown",
  "Stopping",
  "Stopped",
  "Starting",
]

export const phaseOf = (phase: Wire.SandboxPhase | undefined): SandboxPhase => phases[phase ?? 0] ?? "Unknown"

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
    ...(wire.status?.exitCode === undefined ? {} : { exitCode: wire.status.exitCode }),
  },
})

const specOf = (spec: Wire.SandboxSpec | undefined): SandboxSpec => ({
  logLevel: spec?.logLevel ?? "",
  environment: spec?.environment ?? {},
  providers: spec?.providers ?? [],
  command: spec?.command ?? [],
  tty: spec?.tty ?? false,
  ...(spec?.template === undefined ? {} : { template: templateOf(spec.template) }),
  ...(spec?.policy === undefined ? {} : { policy: toJson(SandboxPolicySchema, spec.policy) }),
  ...(spec?.resourceRequirements?.gpu === undefined
    ? {}
    : { gpu: optional("count", spec.resourceRequirements.gpu.count) }),
})

const templateOf = (template: Wire.SandboxTemplate) => ({
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

const optional = <Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } => {
  const result: { [K in Key]?: Value } = {}
  if (value !== undefined) result[key] = value
  return result
}

export const logLineOf = (line: Wire.SandboxLogLine): LogLine => ({
  sandboxId: line.sandboxId,
  timestampMs: Number(line.timestampMs),
  level: line.level,
  target: line.target,
  message: line.message,
  source: line.source === "sandbox" ? "sandbox" : "gateway",
  fields: line.fields,
})

export const platformEventOf = (event: Wire.PlatformEvent): PlatformEvent => ({
  timestampMs: Number(event.timestampMs),
  source: event.source,
  type: event.type,
  reason: event.reason,
  message: event.message,
  metadata: event.metadata,
})

/** The Ready condition, which says in words why a sandbox is not ready. */
export const readyConditionOf = (sandbox: Sandbox) =>
  sandbox.status.conditions.find((condition) => condition.type === "Ready")
