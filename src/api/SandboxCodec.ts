/** Sandboxes between the domain and the OpenShell wire. */
import {
  create,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf"
import { Effect } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import type {
  LogLine,
  PlatformEvent,
  RelayTarget,
  Sandbox,
  SandboxPhase,
  SandboxSpec,
} from "../domain/Sandbox.ts"
import {
  type PlatformEventSchema,
  type SandboxLogLineSchema,
  SandboxPolicySchema,
  type SandboxSchema,
  SandboxSpecSchema,
  type TcpForwardInit,
  SandboxPhase as WirePhase,
  type SandboxSpec as WireSpec,
} from "../wire/OpenShell.ts"

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

const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const specToWire = (spec: SandboxSpec): WireSpec =>
  create(SandboxSpecSchema, {
    logLevel: spec.logLevel,
    environment: { ...spec.environment },
    providers: [...spec.providers],
    command: [...spec.command],
    tty: spec.tty,
    ...(spec.policy === undefined
      ? {}
      : { policy: fromJson(SandboxPolicySchema, spec.policy as JsonValue, { ignoreUnknownFields: true }) }),
    ...(spec.gpu === undefined
      ? {}
      : { resourceRequirements: { gpu: spec.gpu.count === undefined ? {} : { count: spec.gpu.count } } }),
    ...(spec.template === undefined
      ? {}
      : {
          template: {
            image: spec.template.image,
            runtimeClassName: spec.template.runtimeClassName,
            agentSocket: spec.template.agentSocket,
            labels: { ...spec.template.labels },
            annotations: { ...spec.template.annotations },
            environment: { ...spec.template.environment },
            ...(isJsonObject(spec.template.resources) ? { resources: spec.template.resources } : {}),
            ...(isJsonObject(spec.template.driverConfig) ? { driverConfig: spec.template.driverConfig } : {}),
            ...(spec.template.userNamespaces === undefined
              ? {}
              : { userNamespaces: spec.template.userNamespaces }),
          },
        }),
  })

/** Wire contract: the gateway's default main process. */
const defaultCommand = ["/bin/bash", "-l"]

export const specFromWire = (spec: WireSpec): SandboxSpec => ({
  logLevel: spec.logLevel,
  environment: spec.environment,
  providers: spec.providers,
  command: spec.command.length > 0 ? spec.command : defaultCommand,
  tty: spec.command.length > 0 ? spec.tty : true,
  ...(spec.policy === undefined ? {} : { policy: toJson(SandboxPolicySchema, spec.policy) }),
  ...(spec.resourceRequirements?.gpu === undefined
    ? {}
    : {
        gpu:
          spec.resourceRequirements.gpu.count === undefined
            ? {}
            : { count: spec.resourceRequirements.gpu.count },
      }),
  ...(spec.template === undefined
    ? {}
    : {
        template: {
          image: spec.template.image,
          runtimeClassName: spec.template.runtimeClassName,
          agentSocket: spec.template.agentSocket,
          labels: spec.template.labels,
          annotations: spec.template.annotations,
          environment: spec.template.environment,
          ...(spec.template.resources === undefined ? {} : { resources: spec.template.resources }),
          ...(spec.template.driverConfig === undefined ? {} : { driverConfig: spec.template.driverConfig }),
          ...(spec.template.userNamespaces === undefined
            ? {}
            : { userNamespaces: spec.template.userNamespaces }),
        },
      }),
})

export const toWire = (sandbox: Sandbox): MessageInitShape<typeof SandboxSchema> => ({
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
    ...(sandbox.status.exitCode === undefined ? {} : { exitCode: sandbox.status.exitCode }),
  },
})

export const logToWire = (line: LogLine): MessageInitShape<typeof SandboxLogLineSchema> => ({
  sandboxId: line.sandboxId,
  timestampMs: BigInt(line.timestampMs),
  level: line.level,
  target: line.target,
  message: line.message,
  source: line.source,
  fields: { ...line.fields },
})

export const eventToWire = (event: PlatformEvent): MessageInitShape<typeof PlatformEventSchema> => ({
  timestampMs: BigInt(event.timestampMs),
  source: event.source,
  type: event.type,
  reason: event.reason,
  message: event.message,
  metadata: { ...event.metadata },
})

const loopback = /^(127(\.\d{1,3}){3}|::1|\[::1\]|localhost)$/i

/** The target of a forward, with the refusals of wire contract 1.3 in their order. */
export const targetFromWire = (
  target: TcpForwardInit["target"],
): Effect.Effect<RelayTarget, InvalidArgument> => {
  const refuse = (message: string) => Effect.fail(new InvalidArgument({ message }))
  switch (target.case) {
    case "ssh":
      return Effect.succeed({ kind: "ssh" })
    case "tcp": {
      const { host, port } = target.value
      if (port < 1 || port > 65_535) return refuse("tcp target port must be between 1 and 65535")
      if (host === "") return refuse("tcp target host is required")
      if (!loopback.test(host)) return refuse("tcp target host must be loopback")
      return Effect.succeed({ kind: "tcp", host, port })
    }
    default:
      return refuse("tcp forward target is required")
  }
}
