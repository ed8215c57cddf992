/** Configuration and policies (contract 1.3). */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import {
  OpenShell,
  PolicyStatus,
  type UpdateConfigRequestSchema,
} from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../../kit/Calls.ts"
import { nobody, refuses, type StatusRow, type StatusWorld } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, PERMISSION_DENIED, ABORTED } = Status

type Update = MessageInitShape<typeof UpdateConfigRequestSchema>

const web = (host = "a.example") => ({ web: { endpoints: [{ host, port: 443 }] } })
const policy = { version: 1, filesystem: { readOnly: ["/usr"] }, networkPolicies: web() }
const on = { value: { case: "boolValue" as const, value: true } }
const text = { value: { case: "stringValue" as const, value: "x" } }

const made = new WeakMap<StatusWorld, Promise<string>>()
/** The sandbox of these rows: with a policy, and a global setting beside it. */
export const configured = (world: StatusWorld): Promise<string> => {
  const known =
    made.get(world) ??
    (async () => {
      const id = (await world.cluster.create("configured", { policy })).metadata?.id ?? ""
      const update: Update = { global: true, settingKey: "ocsf_json_enabled", settingValue: on }
      await callUnary(await world.connection, method.updateConfig, update)
      return id
    })()
  made.set(world, known)
  return known
}
const after = { after: configured }

const update = (
  when: string,
  request: Update,
  code: Parameters<typeof refuses>[3],
  answer: string | RegExp,
) => refuses(method.updateConfig, when, { name: "configured", ...request }, code, answer, after)

const updates: ReadonlyArray<StatusRow> = [
  update("nothing to change", {}, INVALID_ARGUMENT, /^one of policy, setting_key or merge_operations/),
  update(
    "a policy and a setting",
    { policy, settingKey: "ocsf_json_enabled", settingValue: on },
    INVALID_ARGUMENT,
    /mutually exclusive/,
  ),
  update(
    "merge operations for all sandboxes",
    { global: true, mergeOperations: [{ operation: { case: "removeRule", value: { ruleName: "x" } } }] },
    INVALID_ARGUMENT,
    /sandbox-scoped/,
  ),
  update("no name", { name: "", policy }, INVALID_ARGUMENT, "name is required for sandbox-scoped updates"),
  update(
    "a setting that does not exist",
    { settingKey: "nope", settingValue: on },
    INVALID_ARGUMENT,
    /^unknown setting key 'nope'/,
  ),
  update(
    "the reserved key",
    { settingKey: "policy", settingValue: text },
    INVALID_ARGUMENT,
    /^reserved key 'policy'/,
  ),
  update(
    "a value of another type",
    { settingKey: "providers_v2_enabled", settingValue: text },
    INVALID_ARGUMENT,
    /expects a bool value/,
  ),
  update(
    "a value that is none of the allowed",
    { settingKey: "proposal_approval_mode", settingValue: text },
    INVALID_ARGUMENT,
    /must be one of manual, auto/,
  ),
  update("no value", { settingKey: "providers_v2_enabled" }, INVALID_ARGUMENT, "setting_value is required"),
  update(
    "a value to delete",
    { settingKey: "providers_v2_enabled", settingValue: on, deleteSetting: true },
    INVALID_ARGUMENT,
    /mutually exclusive/,
  ),
  update(
    "an empty merge operation",
    { mergeOperations: [{}] },
    INVALID_ARGUMENT,
    /an operation is empty or unknown/,
  ),
  update(
    "an endpoint that is in no rule",
    {
      mergeOperations: [
        { operation: { case: "addDenyRules", value: { host: "b.example", port: 1, denyRules: [{}] } } },
      ],
    },
    INVALID_ARGUMENT,
    "endpoint b.example:1 not found in the policy",
  ),
  update(
    "a path taken from a live sandbox",
    { policy: { version: 1, filesystem: {} } },
    INVALID_ARGUMENT,
    "filesystem read_only path '/usr' cannot be removed on a live sandbox",
  ),
  update(
    "another landlock mode of a live sandbox",
    { policy: { ...policy, landlock: { compatibility: "hard_requirement" } } },
    INVALID_ARGUMENT,
    /^landlock policy cannot be changed/,
  ),
  update(
    "unsafe content",
    { policy: { ...policy, process: { runAsUser: "root" } } },
    INVALID_ARGUMENT,
    /^policy contains unsafe content: /,
  ),
  update(
    "a rule name of the gateway's",
    { policy: { ...policy, networkPolicies: { _provider_a: { endpoints: [{ host: "a", port: 1 }] } } } },
    INVALID_ARGUMENT,
    /'_provider_a' is reserved/,
  ),
  update(
    "too large a policy",
    { policy: { ...policy, networkPolicies: web("a".repeat(limits.policyBytes)) } },
    INVALID_ARGUMENT,
    "policy exceeds 262144 bytes",
  ),
  update(
    "another resource version",
    { policy: { ...policy, networkPolicies: web("b.example") }, expectedResourceVersion: 999_999n },
    ABORTED,
    /^config update failed due to concurrent modification \(current resource_version: \d+\)$/,
  ),
  update(
    "a setting that is set for all",
    { settingKey: "ocsf_json_enabled", settingValue: on },
    FAILED_PRECONDITION,
    /^setting 'ocsf_json_enabled' is managed globally/,
  ),
  update("a sandbox that is not there", { name: "nobody", policy }, NOT_FOUND, "sandbox not found"),
]

/** As the sandbox itself. */
const sync = (when: string, request: Update, answer: string | RegExp) =>
  refuses(method.updateConfig, when, request, PERMISSION_DENIED, answer, { sandbox: configured })

const onlySync = "a sandbox may sync its own policy and nothing else"

const syncs: ReadonlyArray<StatusRow> = [
  sync(
    "a setting by a sandbox",
    { name: "configured", settingKey: "ocsf_json_enabled", settingValue: on },
    onlySync,
  ),
  sync("a global policy by a sandbox", { global: true, policy }, onlySync),
  sync("annotations by a sandbox", { name: "configured", policy, annotations: { a: "b" } }, onlySync),
  sync(
    "merge operations by a sandbox",
    {
      name: "configured",
      mergeOperations: [{ operation: { case: "removeRule", value: { ruleName: "x" } } }],
    },
    onlySync,
  ),
  sync(
    "more of the network by a sandbox",
    { name: "configured", policy: { ...policy, networkPolicies: web("b.example") } },
    /network policies are changed by users/,
  ),
  sync("another sandbox's policy", { name: "other", policy }, "sandbox not found or not owned by caller"),
]

const reads: ReadonlyArray<StatusRow> = [
  refuses(method.getSandboxConfig, "an unknown id", { sandboxId: nobody }, NOT_FOUND, "sandbox not found"),
  refuses(
    method.getSandboxConfig,
    "another sandbox",
    { sandboxId: nobody },
    PERMISSION_DENIED,
    "cross-sandbox access denied: principal does not own this sandbox",
    { sandbox: configured },
  ),
  refuses(
    method.getGatewayConfig,
    "a sandbox",
    {},
    PERMISSION_DENIED,
    "sandbox principals may not call this method",
    { sandbox: configured },
  ),
  refuses(
    method.getSandboxPolicyStatus,
    "a version that is not there",
    { name: "configured", version: 9 },
    NOT_FOUND,
    "policy revision not found",
    after,
  ),
  refuses(method.listSandboxPolicies, "no name", {}, INVALID_ARGUMENT, "name is required"),
  refuses(
    method.reportPolicyStatus,
    "no sandbox",
    { version: 1, status: PolicyStatus.LOADED },
    INVALID_ARGUMENT,
    "sandbox_id is required",
    { sandbox: configured },
  ),
  ...(
    [
      ["no version", { status: PolicyStatus.LOADED }, INVALID_ARGUMENT, "version is required"],
      ["no status", { version: 1 }, INVALID_ARGUMENT, "status must be LOADED or FAILED"],
      [
        "another status",
        { version: 1, status: PolicyStatus.SUPERSEDED },
        INVALID_ARGUMENT,
        "status must be LOADED or FAILED",
      ],
      [
        "a version that is not there",
        { version: 99, status: PolicyStatus.FAILED },
        NOT_FOUND,
        "policy revision not found",
      ],
    ] as const
  ).map(([when, request, code, answer]) =>
    refuses(
      method.reportPolicyStatus,
      when,
      async (world) => ({ ...request, sandboxId: await configured(world) }),
      code,
      answer,
      { sandbox: configured },
    ),
  ),
  refuses(
    method.reportPolicyStatus,
    "a user",
    { sandboxId: nobody },
    PERMISSION_DENIED,
    "this method requires a sandbox principal",
  ),
]

export const configRows: ReadonlyArray<StatusRow> = [
  ...updates,
  ...syncs,
  ...reads,
  refuses(
    method.createSandbox,
    "a policy with unsafe content",
    { name: "unsafe", spec: { policy: { filesystem: { readWrite: ["/"] } } } },
    INVALID_ARGUMENT,
    /^policy contains unsafe content: /,
  ),
]
