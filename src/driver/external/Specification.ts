/** A sandbox as Holdfast stores it, as a compute driver is asked for it (wire contract 2.12, 6.4). Pure. */
import type {
  ComputeRequest,
  ComputeResources,
  DriverCapabilities,
  JsonObject,
  JsonValue,
} from "../../domain/Compute.ts"
import type { SandboxTemplate } from "../../domain/Sandbox.ts"
import type { DriverSandbox } from "../Driver.ts"
import { defaultCommand } from "../SupervisorEnvironment.ts"

/** What is no JSON, such as a function, counts as absent; nothing of the kind comes out of the store. */
const json = (value: unknown): JsonValue | undefined => {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value
    case "object":
      if (value === null) return null
      return Array.isArray(value) ? value.flatMap((inner) => json(inner) ?? []) : object(value)
    default:
      return undefined
  }
}

const object = (value: unknown): JsonObject | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value).flatMap(([key, inner]) => {
          const known = json(inner)
          return known === undefined ? [] : [[key, known] as const]
        }),
      )
    : undefined

const quantity = (resources: JsonObject | undefined, part: "requests" | "limits", what: string): string => {
  const found = object(resources?.[part])?.[what]
  return typeof found === "string" || typeof found === "number" ? String(found) : ""
}

const resourcesOf = (resources: JsonObject | undefined): ComputeResources => ({
  cpuRequest: quantity(resources, "requests", "cpu"),
  cpuLimit: quantity(resources, "limits", "cpu"),
  memoryRequest: quantity(resources, "requests", "memory"),
  memoryLimit: quantity(resources, "limits", "memory"),
})

/** Parts of the public template that have no field of their own in the contract. */
const platformConfig = (template: SandboxTemplate | undefined): JsonObject | undefined => {
  const resources = object(template?.resources)
  const config = {
    ...(resources === undefined ? {} : { resources_raw: resources }),
    ...(Object.keys(template?.annotations ?? {}).length === 0
      ? {}
      : { annotations: { ...template?.annotations } }),
    ...(template?.runtimeClassName ? { runtime_class_name: template.runtimeClassName } : {}),
    ...(template?.userNamespaces === undefined ? {} : { host_users: !template.userNamespaces }),
  }
  return Object.keys(config).length === 0 ? undefined : config
}

/** The part under the driver's own name, where callers wrote one for each driver; else all of it. */
const driverConfig = (template: SandboxTemplate | undefined, driver: string): JsonObject | undefined => {
  const all = object(template?.driverConfig)
  return object(all?.[driver]) ?? all
}

export const requestOf = (sandbox: DriverSandbox, capabilities: DriverCapabilities): ComputeRequest => {
  const { spec } = sandbox
  const { template } = spec
  const bare = spec.command.length === 0
  return {
    id: sandbox.id,
    name: sandbox.name,
    workspace: sandbox.workspace,
    spec: {
      logLevel: spec.logLevel,
      environment: spec.environment,
      template: {
        image: template?.image || capabilities.defaultImage,
        agentSocketPath: template?.agentSocket ?? "",
        labels: template?.labels ?? {},
        environment: template?.environment ?? {},
        resources: resourcesOf(object(template?.resources)),
        platformConfig: platformConfig(template),
        driverConfig: driverConfig(template, capabilities.driverName),
      },
      gpu: spec.gpu,
      token: sandbox.token,
      // The contract asks for the command that runs, not for the one that was given.
      command: bare ? defaultCommand : spec.command,
      tty: bare ? true : spec.tty,
    },
  }
}
