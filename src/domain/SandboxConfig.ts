/** Configuration: settings, how a policy and settings come to a sandbox, and what changes them. */
import { Schema } from "effect"
import type { PolicyOperation, PolicyRevision, SandboxPolicy } from "./Policy.ts"

export const SettingValue = Schema.Union(
  Schema.Struct({ type: Schema.Literal("string"), value: Schema.String }),
  Schema.Struct({ type: Schema.Literal("bool"), value: Schema.Boolean }),
  /** Exact up to 2^53. */
  Schema.Struct({ type: Schema.Literal("int"), value: Schema.Number }),
  /** Base64. */
  Schema.Struct({ type: Schema.Literal("bytes"), value: Schema.String }),
)
export type SettingValue = typeof SettingValue.Type

export const SettingMap = Schema.Record({ key: Schema.String, value: SettingValue })
export type SettingMap = typeof SettingMap.Type

/** A policy setting of this key stands for the global policy; it is set as a policy, never as a value. */
export const policySettingKey = "policy"

export type SettingKind =
  | { readonly type: "bool" }
  | { readonly type: "string"; readonly oneOf: ReadonlyArray<string> }

/** The settings that exist (wire contract 3.10), with their type and, for strings, what they may be. */
export const registeredSettings: ReadonlyMap<string, SettingKind> = new Map<string, SettingKind>([
  ["providers_v2_enabled", { type: "bool" }],
  ["ocsf_json_enabled", { type: "bool" }],
  ["agent_policy_proposals_enabled", { type: "bool" }],
  ["proposal_approval_mode", { type: "string", oneOf: ["manual", "auto"] }],
])

export interface EffectiveSetting {
  /** Absent: set nowhere. */
  readonly value: SettingValue | undefined
  readonly scope: "none" | "sandbox" | "global"
}

/** What a supervisor runs its sandbox by. */
export interface SandboxConfig {
  /** Absent: nobody has given the sandbox one. */
  readonly policy: SandboxPolicy | undefined
  /** Of the sandbox's own policy; 0 without one. */
  readonly version: number
  /** SHA-256 of the canonical form of `policy`, hex; empty without one. */
  readonly policyHash: string
  readonly policySource: "sandbox" | "global"
  /** 0 without a global policy. */
  readonly globalPolicyVersion: number
  readonly settings: Readonly<Record<string, EffectiveSetting>>
  /** Changes exactly when one of the fields above does: 64 bits as a decimal number. */
  readonly configRevision: string
  /** Changes when the environment that providers give does: 64 bits as a decimal number. */
  readonly providerEnvRevision: string
  readonly workspace: string
}

export interface GatewayConfig {
  /** Every registered key; undefined where it is not set. */
  readonly settings: Readonly<Record<string, SettingValue | undefined>>
  readonly settingsRevision: number
}

/** One change; which one is found from what is present. */
export interface ConfigUpdate {
  readonly name: string
  readonly workspace: string
  readonly global: boolean
  readonly policy: SandboxPolicy | undefined
  readonly settingKey: string
  readonly settingValue: SettingValue | undefined
  readonly deleteSetting: boolean
  readonly mergeOperations: ReadonlyArray<PolicyOperation>
  /** Of the sandbox; 0: any. */
  readonly expectedResourceVersion: number
  readonly annotations: Readonly<Record<string, string>>
}

export interface ConfigUpdated {
  /** Of the policy; 0 when only a setting changed. */
  readonly version: number
  readonly policyHash: string
  /** Counts changes of settings, of the whole gateway. */
  readonly settingsRevision: number
  readonly deleted: boolean
  readonly annotations: Readonly<Record<string, string>>
}

export interface PolicyStatusQuery {
  readonly name: string
  readonly workspace: string
  readonly global: boolean
  /** 0: the latest. */
  readonly version: number
}

export interface PolicyStatusReply {
  readonly revision: PolicyRevision
  /** The version that the supervisor has loaded; 0 before. */
  readonly activeVersion: number
}

export interface PolicyListQuery {
  readonly name: string
  readonly workspace: string
  readonly global: boolean
  readonly limit: number
  readonly offset: number
}

export interface PolicyReport {
  readonly sandboxId: string
  readonly version: number
  /** Undefined: neither of the two that may be reported. */
  readonly status: "loaded" | "failed" | undefined
  readonly loadError: string
}
