/**
 * The policy tree of a sandbox, in the shape of its JSON: what is absent or false, zero or empty is left out. The
 * gateway stores, merges and delivers it; enforcing it is the supervisor's business.
 */
import { Schema } from "effect"

const text = Schema.optional(Schema.String)
const flag = Schema.optional(Schema.Boolean)
const count = Schema.optional(Schema.Number)
const texts = Schema.optional(Schema.Array(Schema.String))
const mapOf = <A, I>(value: Schema.Schema<A, I>) =>
  Schema.optional(Schema.Record({ key: Schema.String, value }))

export const QueryMatcher = Schema.Struct({ glob: text, any: texts })

/** What a request looks like to an L7 rule, whether the rule allows or denies it. */
export const RequestPattern = Schema.Struct({
  method: text,
  path: text,
  command: text,
  query: mapOf(QueryMatcher),
  operationType: text,
  operationName: text,
  fields: texts,
  params: mapOf(QueryMatcher),
})
export type RequestPattern = typeof RequestPattern.Type

export const AllowRule = Schema.Struct({ allow: Schema.optional(RequestPattern) })
export type AllowRule = typeof AllowRule.Type

export const GraphqlOperation = Schema.Struct({ operationType: text, operationName: text, fields: texts })

export const NetworkEndpoint = Schema.Struct({
  host: text,
  port: count,
  protocol: text,
  tls: text,
  enforcement: text,
  access: text,
  rules: Schema.optional(Schema.Array(AllowRule)),
  allowedIps: texts,
  ports: Schema.optional(Schema.Array(Schema.Number)),
  denyRules: Schema.optional(Schema.Array(RequestPattern)),
  allowEncodedSlash: flag,
  persistedQueries: text,
  graphqlPersistedQueries: mapOf(GraphqlOperation),
  graphqlMaxBodyBytes: count,
  path: text,
  websocketCredentialRewrite: flag,
  requestBodyCredentialRewrite: flag,
  advisorProposed: flag,
  credentialSigning: text,
  signingService: text,
  signingRegion: text,
  jsonRpcMaxBodyBytes: count,
  mcp: Schema.optional(Schema.Struct({ strictToolNames: flag, allowAllKnownMcpMethods: flag })),
  credentialBinding: Schema.optional(Schema.Struct({ provider: text })),
  allowUninspectedCredentials: flag,
  providerCredentialed: flag,
})
export type NetworkEndpoint = typeof NetworkEndpoint.Type

export const NetworkBinary = Schema.Struct({ path: text, harness: flag })
export type NetworkBinary = typeof NetworkBinary.Type

export const NetworkRule = Schema.Struct({
  name: text,
  endpoints: Schema.optional(Schema.Array(NetworkEndpoint)),
  binaries: Schema.optional(Schema.Array(NetworkBinary)),
})
export type NetworkRule = typeof NetworkRule.Type

export const NetworkMiddleware = Schema.Struct({
  name: text,
  middleware: text,
  /** A JSON object of the middleware's own. */
  config: Schema.optional(Schema.Unknown),
  onError: text,
  endpoints: Schema.optional(Schema.Struct({ include: texts, exclude: texts })),
  order: count,
})

export const FilesystemPolicy = Schema.Struct({ includeWorkdir: flag, readOnly: texts, readWrite: texts })
export type FilesystemPolicy = typeof FilesystemPolicy.Type

export const SandboxPolicy = Schema.Struct({
  version: count,
  filesystem: Schema.optional(FilesystemPolicy),
  landlock: Schema.optional(Schema.Struct({ compatibility: text })),
  process: Schema.optional(Schema.Struct({ runAsUser: text, runAsGroup: text })),
  /** By rule name. */
  networkPolicies: mapOf(NetworkRule),
  /** By name. */
  networkMiddlewares: mapOf(NetworkMiddleware),
})
export type SandboxPolicy = typeof SandboxPolicy.Type

export type NetworkRules = Readonly<Record<string, NetworkRule>>

/** Rules that a sandbox has because of its providers, by rule name; all names begin with `providerRulePrefix`. */
export type ProviderRules = NetworkRules

/** Wire contract 2.10: nobody but the gateway makes rules with such names. */
export const providerRulePrefix = "_provider_"

/** One change of a policy. An operation that finds its effect in place changes nothing. */
export type PolicyOperation =
  | { readonly kind: "addRule"; readonly ruleName: string; readonly rule: NetworkRule }
  | {
      readonly kind: "removeEndpoint"
      /** Empty: in every rule. */
      readonly ruleName: string
      readonly host: string
      readonly port: number
    }
  | { readonly kind: "removeRule"; readonly ruleName: string }
  | {
      readonly kind: "addDenyRules"
      readonly host: string
      readonly port: number
      readonly denyRules: ReadonlyArray<RequestPattern>
    }
  | {
      readonly kind: "addAllowRules"
      readonly host: string
      readonly port: number
      readonly rules: ReadonlyArray<AllowRule>
    }
  | { readonly kind: "removeBinary"; readonly ruleName: string; readonly binaryPath: string }

/** Stored, in force in the sandbox, refused by its supervisor, or replaced by a later one. */
export const RevisionStatus = Schema.Literal("pending", "loaded", "failed", "superseded")
export type RevisionStatus = typeof RevisionStatus.Type

/** A revision without its policy, as lists have it. */
export interface PolicySummary {
  /** From 1 in each scope. */
  readonly version: number
  /** SHA-256 of the canonical form, hex. */
  readonly hash: string
  readonly status: RevisionStatus
  /** Why the supervisor did not load it. */
  readonly loadError: string
  readonly createdAtMs: number
  /** 0: not yet. */
  readonly loadedAtMs: number
  /** What its author noted about where it comes from. */
  readonly provenance: Readonly<Record<string, string>>
}

export interface PolicyRevision extends PolicySummary {
  readonly policy: SandboxPolicy
}
