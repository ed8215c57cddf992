/** Sandboxes (contract 1.3). */
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { refuses, type StatusRow } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, PERMISSION_DENIED } = Status

const numbered = (count: number, value = "v") =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`K${index}`, value]))

const create: ReadonlyArray<StatusRow> = [
  refuses(
    method.createSandbox,
    "a request without a spec",
    { name: "a" },
    INVALID_ARGUMENT,
    "spec is required",
  ),
  refuses(
    method.createSandbox,
    "a name that is too long",
    { name: "a".repeat(20), spec: {} },
    INVALID_ARGUMENT,
    "name must be at most 19 characters",
  ),
  refuses(
    method.createSandbox,
    "a name with two hyphens in a row",
    { name: "a--b", spec: {} },
    INVALID_ARGUMENT,
    "name must not contain '--'",
  ),
  ...["Upper", "-a", "a-", "a_b", "a.b"].map((name) =>
    refuses(method.createSandbox, `the name ${name}`, { name, spec: {} }, INVALID_ARGUMENT, /DNS label/),
  ),
  refuses(
    method.createSandbox,
    "a name that is taken",
    { name: "taken", spec: {} },
    ALREADY_EXISTS,
    "sandbox 'taken' already exists",
    { after: (world) => world.sandbox("taken") },
  ),
  refuses(
    method.createSandbox,
    "a workspace that is not there",
    { name: "a", spec: {}, workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  refuses(
    method.createSandbox,
    "an environment with too many entries",
    { spec: { environment: numbered(limits.mapEntries + 1) } },
    INVALID_ARGUMENT,
    /environment exceeds 128 entries/,
  ),
  refuses(
    method.createSandbox,
    "an environment key that no shell can hold",
    { spec: { environment: { "1A": "" } } },
    INVALID_ARGUMENT,
    /invalid environment key '1A'/,
  ),
  refuses(
    method.createSandbox,
    "a long environment key",
    { spec: { environment: { ["A".repeat(257)]: "" } } },
    INVALID_ARGUMENT,
    /environment key exceeds 256 bytes/,
  ),
  refuses(
    method.createSandbox,
    "a long environment value",
    { spec: { environment: { A: "v".repeat(8_193) } } },
    INVALID_ARGUMENT,
    /exceeds 8192 bytes/,
  ),
  refuses(
    method.createSandbox,
    "an environment that is too large in all",
    { spec: { environment: numbered(64, "v".repeat(8_000)) } },
    INVALID_ARGUMENT,
    /environment exceeds 262144 bytes/,
  ),
  refuses(
    method.createSandbox,
    "too many providers",
    { spec: { providers: Array.from({ length: 33 }, (_, index) => `p${index}`) } },
    INVALID_ARGUMENT,
    /providers exceed 32/,
  ),
  refuses(
    method.createSandbox,
    "a label key that is none",
    { spec: {}, labels: { "a b": "" } },
    INVALID_ARGUMENT,
    /invalid label key 'a b'/,
  ),
  refuses(
    method.createSandbox,
    "a label value that is none",
    { spec: {}, labels: { a: "b c" } },
    INVALID_ARGUMENT,
    /invalid value of label 'a'/,
  ),
  refuses(
    method.createSandbox,
    "too many annotations",
    { spec: {}, annotations: numbered(129) },
    INVALID_ARGUMENT,
    /annotations exceed 128 entries/,
  ),
  refuses(
    method.createSandbox,
    "a long log level",
    { spec: { logLevel: "x".repeat(33) } },
    INVALID_ARGUMENT,
    /log_level exceeds 32/,
  ),
  refuses(
    method.createSandbox,
    "a long template string",
    { spec: { template: { image: "i".repeat(1_025) } } },
    INVALID_ARGUMENT,
    /template.*1024/,
  ),
  refuses(
    method.createSandbox,
    "too large a struct in the template",
    { spec: { template: { driverConfig: { a: "x".repeat(65_536) } } } },
    INVALID_ARGUMENT,
    /template.*65536/,
  ),
  refuses(
    method.createSandbox,
    "too many arguments",
    { spec: { command: Array.from({ length: 257 }, () => "a") } },
    INVALID_ARGUMENT,
    /command exceeds 256/,
  ),
  refuses(
    method.createSandbox,
    "too long a command",
    { spec: { command: ["a".repeat(262_145)] } },
    INVALID_ARGUMENT,
    /command exceeds 262144/,
  ),
]

const ofTheDriver: ReadonlyArray<StatusRow> = [
  refuses(
    method.createSandbox,
    "a GPU, of which the process driver has none",
    { spec: { resourceRequirements: { gpu: {} } } },
    FAILED_PRECONDITION,
    /cannot assign GPUs/,
  ),
]

const byName = [method.getSandbox, method.deleteSandbox, method.stopSandbox, method.startSandbox].flatMap(
  (one) => [
    refuses(one, "an empty name", { name: "" }, INVALID_ARGUMENT, "name is required"),
    refuses(one, "a name that is not there", { name: "nobody" }, NOT_FOUND, "sandbox not found"),
    refuses(
      one,
      "a workspace that is not there",
      { name: "nobody", workspace: "nowhere" },
      NOT_FOUND,
      "workspace 'nowhere' not found",
    ),
    refuses(
      one,
      "a sandbox",
      { name: "ready" },
      PERMISSION_DENIED,
      "sandbox principals may not call this method",
      { sandbox: (world) => world.sandbox("ready", "Ready") },
    ),
  ],
)

export const sandboxRows: ReadonlyArray<StatusRow> = [
  ...create,
  ...ofTheDriver,
  ...byName,
  refuses(
    method.listSandboxes,
    "all workspaces and one",
    { allWorkspaces: true, workspace: "default" },
    INVALID_ARGUMENT,
    "all_workspaces and workspace are mutually exclusive",
  ),
  refuses(
    method.listSandboxes,
    "a workspace that is not there",
    { workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
  ...["a", "a=b=c", "=b", "a=b,", "a!=b"].map((labelSelector) =>
    refuses(
      method.listSandboxes,
      `the selector ${labelSelector}`,
      { labelSelector },
      INVALID_ARGUMENT,
      /label_selector|label/,
    ),
  ),
  refuses(
    method.listSandboxes,
    "a selector of too many pairs",
    { labelSelector: Array.from({ length: 65 }, (_, index) => `k${index}=v`).join(",") },
    INVALID_ARGUMENT,
    /label_selector exceeds 64 pairs/,
  ),
  refuses(
    method.stopSandbox,
    "a sandbox that is not Ready",
    { name: "waiting" },
    FAILED_PRECONDITION,
    "sandbox must be Ready to stop (current phase: Provisioning)",
    { after: (world) => world.sandbox("waiting") },
  ),
  refuses(
    method.startSandbox,
    "a sandbox that is not Stopped",
    { name: "waiting" },
    FAILED_PRECONDITION,
    "sandbox must be Stopped to start (current phase: Provisioning)",
    { after: (world) => world.sandbox("waiting") },
  ),
]
