/** Policies, rules and settings between the domain and OpenShell's messages (contract 2.10). */
import { type DescMessage, fromJson, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf"
import { Schema } from "effect"
import { InvalidArgument } from "../../domain/Errors.ts"
import {
  AllowRule,
  NetworkRule,
  type PolicyOperation,
  type PolicyRevision,
  type PolicySummary,
  RequestPattern,
  SandboxPolicy,
} from "../../domain/Policy.ts"
import type { EffectiveSetting, SettingValue } from "../../domain/SandboxConfig.ts"
import type * as Wire from "./Generated.ts"
import {
  L7DenyRuleSchema,
  L7RuleSchema,
  NetworkPolicyRuleSchema,
  SandboxPolicySchema,
  SettingScope,
  PolicyStatus as WireStatus,
} from "./Generated.ts"

/** The JSON of a message is its domain value: both leave out what is absent, false, zero or empty. */
const reading = <Desc extends DescMessage, A, I>(desc: Desc, schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownSync(schema)
  return (message: MessageShape<Desc>): A => {
    try {
      return decode(toJson(desc, message))
    } catch (cause) {
      // Numbers that JSON has no words for.
      throw new InvalidArgument({ message: cause instanceof Error ? cause.message : String(cause) })
    }
  }
}

const isJson = (value: unknown): value is JsonValue => value !== undefined

/** Without fields that are undefined, which JSON does not have. */
const jsonOf = (value: unknown): JsonValue => {
  const json: unknown = JSON.parse(JSON.stringify(value))
  return isJson(json) ? json : null
}

const writing =
  <Desc extends DescMessage, A>(desc: Desc) =>
  (value: A): MessageShape<Desc> =>
    fromJson(desc, jsonOf(value), { ignoreUnknownFields: true })

/** A count or a time; what is negative or beyond 2^53 is no such thing and becomes the nearest that is. */
export const countOf = (value: bigint): number =>
  Math.min(Math.max(Number(value), 0), Number.MAX_SAFE_INTEGER)

export const policyOf = reading(SandboxPolicySchema, SandboxPolicy)
export const policyToWire = writing<typeof SandboxPolicySchema, SandboxPolicy>(SandboxPolicySchema)
export const ruleOf = reading(NetworkPolicyRuleSchema, NetworkRule)
export const ruleToWire = writing<typeof NetworkPolicyRuleSchema, NetworkRule>(NetworkPolicyRuleSchema)
const allowRuleOf = reading(L7RuleSchema, AllowRule)
const allowRuleToWire = writing<typeof L7RuleSchema, AllowRule>(L7RuleSchema)
const denyRuleOf = reading(L7DenyRuleSchema, RequestPattern)
const denyRuleToWire = writing<typeof L7DenyRuleSchema, RequestPattern>(L7DenyRuleSchema)

/** Reads a policy file's tree: field names in camel case or in snake case. Throws InvalidArgument. */
export const policyOfTree = (tree: unknown): SandboxPolicy => {
  try {
    return policyOf(fromJson(SandboxPolicySchema, jsonOf(tree)))
  } catch (cause) {
    throw new InvalidArgument({ message: cause instanceof Error ? cause.message : String(cause) })
  }
}

export const operationOf = ({ operation }: Wire.PolicyMergeOperation): PolicyOperation => {
  switch (operation.case) {
    case "addRule": {
      const { ruleName, rule } = operation.value
      if (rule === undefined) throw new InvalidArgument({ message: "add_rule: rule is required" })
      return { kind: "addRule", ruleName, rule: ruleOf(rule) }
    }
    case "removeEndpoint": {
      const { ruleName, host, port } = operation.value
      return { kind: "removeEndpoint", ruleName, host, port }
    }
    case "removeRule":
      return { kind: "removeRule", ruleName: operation.value.ruleName }
    case "addDenyRules": {
      const { host, port, denyRules } = operation.value
      return { kind: "addDenyRules", host, port, denyRules: denyRules.map(denyRuleOf) }
    }
    case "addAllowRules": {
      const { host, port, rules } = operation.value
      return { kind: "addAllowRules", host, port, rules: rules.map(allowRuleOf) }
    }
    case "removeBinary": {
      const { ruleName, binaryPath } = operation.value
      return { kind: "removeBinary", ruleName, binaryPath }
    }
    default:
      throw new InvalidArgument({ message: "merge_operations: an operation is empty or unknown" })
  }
}

const operationValue = (operation: PolicyOperation) => {
  switch (operation.kind) {
    case "addRule":
      return {
        case: "addRule" as const,
        value: { ruleName: operation.ruleName, rule: ruleToWire(operation.rule) },
      }
    case "removeEndpoint":
      return { case: "removeEndpoint" as const, value: operation }
    case "removeRule":
      return { case: "removeRule" as const, value: operation }
    case "removeBinary":
      return { case: "removeBinary" as const, value: operation }
    case "addDenyRules":
      return {
        case: "addDenyRules" as const,
        value: { ...operation, denyRules: operation.denyRules.map(denyRuleToWire) },
      }
    case "addAllowRules":
      return {
        case: "addAllowRules" as const,
        value: { ...operation, rules: operation.rules.map(allowRuleToWire) },
      }
  }
}

export const operationToWire = (operation: PolicyOperation) => ({ operation: operationValue(operation) })

/** A value of no type is no value. */
export const settingOf = (setting: Wire.SettingValue | undefined): SettingValue | undefined => {
  const value = setting?.value
  switch (value?.case) {
    case "stringValue":
      return { type: "string", value: value.value }
    case "boolValue":
      return { type: "bool", value: value.value }
    case "intValue":
      return { type: "int", value: Number(value.value) }
    case "bytesValue":
      return { type: "bytes", value: Buffer.from(value.value).toString("base64") }
    default:
      return undefined
  }
}

const settingCase = (setting: SettingValue) => {
  switch (setting.type) {
    case "string":
      return { case: "stringValue" as const, value: setting.value }
    case "bool":
      return { case: "boolValue" as const, value: setting.value }
    case "int":
      return { case: "intValue" as const, value: BigInt(setting.value) }
    case "bytes":
      return { case: "bytesValue" as const, value: new Uint8Array(Buffer.from(setting.value, "base64")) }
  }
}

export const settingToWire = (setting: SettingValue | undefined) =>
  setting === undefined ? {} : { value: settingCase(setting) }

const scopes = {
  none: SettingScope.UNSPECIFIED,
  sandbox: SettingScope.SANDBOX,
  global: SettingScope.GLOBAL,
} as const

export const effectiveSettingToWire = ({ value, scope }: EffectiveSetting) => ({
  value: settingToWire(value),
  scope: scopes[scope],
})

export const effectiveSettingOf = ({ value, scope }: Wire.EffectiveSetting): EffectiveSetting => ({
  value: settingOf(value),
  scope: scope === SettingScope.GLOBAL ? "global" : scope === SettingScope.SANDBOX ? "sandbox" : "none",
})

const statuses = {
  pending: WireStatus.PENDING,
  loaded: WireStatus.LOADED,
  failed: WireStatus.FAILED,
  superseded: WireStatus.SUPERSEDED,
} as const

export const reportedStatusOf = (status: WireStatus): "loaded" | "failed" | undefined =>
  status === WireStatus.LOADED ? "loaded" : status === WireStatus.FAILED ? "failed" : undefined

export const statusToWire = (status: PolicyRevision["status"]) => statuses[status]

const statusOf = (status: WireStatus): PolicyRevision["status"] => {
  switch (status) {
    case WireStatus.LOADED:
      return "loaded"
    case WireStatus.FAILED:
      return "failed"
    case WireStatus.SUPERSEDED:
      return "superseded"
    default:
      return "pending"
  }
}

export const summaryToWire = (revision: PolicySummary) => ({
  version: revision.version,
  policyHash: revision.hash,
  status: statuses[revision.status],
  loadError: revision.loadError,
  createdAtMs: BigInt(revision.createdAtMs),
  loadedAtMs: BigInt(revision.loadedAtMs),
  provenance: { ...revision.provenance },
})

export const revisionToWire = ({ policy, ...summary }: PolicyRevision) => ({
  ...summaryToWire(summary),
  policy: policyToWire(policy),
})

export const summaryOf = (revision: Wire.SandboxPolicyRevision): PolicySummary => ({
  version: revision.version,
  hash: revision.policyHash,
  status: statusOf(revision.status),
  loadError: revision.loadError,
  createdAtMs: Number(revision.createdAtMs),
  loadedAtMs: Number(revision.loadedAtMs),
  provenance: revision.provenance,
})

export const revisionOf = (revision: Wire.SandboxPolicyRevision): PolicyRevision => ({
  ...summaryOf(revision),
  policy: revision.policy === undefined ? {} : policyOf(revision.policy),
})

/** A policy as a policy file has it: field names in snake case. */
export const treeOfPolicy = (policy: SandboxPolicy): unknown =>
  toJson(SandboxPolicySchema, policyToWire(policy), { useProtoFieldName: true })

/** Reads a rule's tree as `policyOfTree` reads a policy's. Throws InvalidArgument. */
export const ruleOfTree = (tree: unknown): NetworkRule => {
  const rule = policyOfTree({ networkPolicies: { rule: tree } }).networkPolicies?.rule
  if (rule === undefined) throw new InvalidArgument({ message: "the rule is empty" })
  return rule
}
