/** What a gateway and a compute driver in another process tell each other (wire contract 2.12). */
import type { Redacted } from "effect"
import type { PlatformEvent } from "./Sandbox.ts"

export interface DriverCapabilities {
  readonly driverName: string
  readonly driverVersion: string
  /** For sandboxes whose template names no image. */
  readonly defaultImage: string
  /** The driver expects its gateway to stop sandboxes when it stops. */
  readonly gatewayManagesLifecycle: boolean
}

/** A listener that the driver's sandboxes need to reach their gateway. */
export interface ListenerRequirement {
  readonly reason: string
  /** An address, or a phrase for one. */
  readonly address: string
}

/** `limits` and `requests` as quantities; empty where nothing is asked. */
export interface ComputeResources {
  readonly cpuRequest: string
  readonly cpuLimit: string
  readonly memoryRequest: string
  readonly memoryLimit: string
}

export type JsonObject = { readonly [key: string]: JsonValue }
export type JsonValue = null | boolean | number | string | ReadonlyArray<JsonValue> | JsonObject

export interface ComputeTemplate {
  readonly image: string
  readonly agentSocketPath: string
  readonly labels: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string>>
  readonly resources: ComputeResources
  /** What the gateway translated from the public template. */
  readonly platformConfig: JsonObject | undefined
  /** The driver's own, passed on unread. */
  readonly driverConfig: JsonObject | undefined
}

export interface ComputeSpec {
  readonly logLevel: string
  readonly environment: Readonly<Record<string, string>>
  readonly template: ComputeTemplate
  /** Absent: none. `count` absent: the driver's default. */
  readonly gpu: { readonly count?: number | undefined } | undefined
  readonly token: Redacted.Redacted<string>
  readonly command: ReadonlyArray<string>
  readonly tty: boolean
}

export interface ComputeCondition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

export interface ComputeStatus {
  readonly instanceId: string
  readonly conditions: ReadonlyArray<ComputeCondition>
  readonly deleting: boolean
}

/** A sandbox as a gateway asks for it. */
export interface ComputeRequest {
  readonly id: string
  readonly name: string
  readonly workspace: string
  readonly spec: ComputeSpec
}

/** A sandbox as its driver sees it. */
export interface ComputeSandbox {
  readonly id: string
  readonly name: string
  readonly workspace: string
  readonly status: ComputeStatus | undefined
}

/** Drivers go by the id; some by the name. */
export interface ComputeReference {
  readonly id: string
  readonly name: string
}

export type ComputeEvent =
  | { readonly _tag: "Sandbox"; readonly sandbox: ComputeSandbox }
  | { readonly _tag: "Deleted"; readonly sandboxId: string }
  | { readonly _tag: "Platform"; readonly sandboxId: string; readonly event: PlatformEvent }
