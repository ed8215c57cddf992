/** Messages of `openshell.compute.v1` as values of the domain, and back. */
import type { MessageInitShape, JsonObject as ProtobufJsonObject } from "@bufbuild/protobuf"
import { Redacted } from "effect"
import type {
  ComputeEvent,
  ComputeRequest,
  ComputeSandbox,
  JsonObject,
  JsonValue,
  ListenerRequirement,
} from "../../domain/Compute.ts"
import { Internal } from "../../domain/Errors.ts"
import type {
  DriverSandbox,
  DriverSandboxSchema,
  GatewayListenerRequirement,
  WatchSandboxesEvent,
} from "./Generated.ts"

const isList = (value: JsonValue): value is ReadonlyArray<JsonValue> => Array.isArray(value)

const plain = (value: JsonValue): ProtobufJsonObject[string] => {
  if (isList(value)) return value.map(plain)
  return typeof value === "object" && value !== null ? struct(value) : value
}

const struct = (value: JsonObject): ProtobufJsonObject =>
  Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))

export const requestToWire = ({
  id,
  name,
  workspace,
  spec,
}: ComputeRequest): MessageInitShape<typeof DriverSandboxSchema> => {
  const { template, gpu } = spec
  return {
    id,
    name,
    workspace,
    spec: {
      logLevel: spec.logLevel,
      environment: { ...spec.environment },
      template: {
        image: template.image,
        agentSocketPath: template.agentSocketPath,
        labels: { ...template.labels },
        environment: { ...template.environment },
        resources: template.resources,
        ...(template.platformConfig === undefined ? {} : { platformConfig: struct(template.platformConfig) }),
        ...(template.driverConfig === undefined ? {} : { driverConfig: struct(template.driverConfig) }),
      },
      ...(gpu === undefined
        ? {}
        : { resourceRequirements: { gpu: gpu.count === undefined ? {} : { count: gpu.count } } }),
      sandboxToken: Redacted.value(spec.token),
      command: [...spec.command],
      tty: spec.tty,
    },
  }
}

export const sandboxFromWire = ({ id, name, workspace, status }: DriverSandbox): ComputeSandbox => ({
  id,
  name,
  workspace,
  status:
    status === undefined
      ? undefined
      : {
          instanceId: status.instanceId,
          conditions: status.conditions.map(({ type, status: held, reason, message }) => ({
            type,
            status: held,
            reason,
            message,
          })),
          deleting: status.deleting,
        },
})

/** A response that lacks its sandbox is a fault of the driver. */
export const presentSandbox = (sandbox: DriverSandbox | undefined): ComputeSandbox => {
  if (sandbox === undefined) throw new Internal({ message: "the compute driver answered without a sandbox" })
  return sandboxFromWire(sandbox)
}

/** Undefined for an event of a later version. */
export const eventFromWire = ({ payload }: WatchSandboxesEvent): ComputeEvent | undefined => {
  switch (payload.case) {
    case "sandbox":
      return payload.value.sandbox === undefined
        ? undefined
        : { _tag: "Sandbox", sandbox: sandboxFromWire(payload.value.sandbox) }
    case "deleted":
      return { _tag: "Deleted", sandboxId: payload.value.sandboxId }
    case "platformEvent": {
      const { event, sandboxId } = payload.value
      if (event === undefined) return undefined
      const { source, type, reason, message, metadata } = event
      return {
        _tag: "Platform",
        sandboxId,
        event: { timestampMs: Number(event.timestampMs), source, type, reason, message, metadata },
      }
    }
    default:
      return undefined
  }
}

export const requirementFromWire = ({
  reason,
  selector,
}: GatewayListenerRequirement): ListenerRequirement => {
  switch (selector.case) {
    case "exactBindAddress":
      return { reason, address: selector.value }
    case "defaultRouteInterface":
      return { reason, address: "the address of the default route's interface" }
    case "loopbackInterface":
      return { reason, address: "a loopback address" }
    default:
      return { reason, address: "an address of a kind that this gateway does not know" }
  }
}
