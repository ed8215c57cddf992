/** Providers, what sandboxes have of them, and inference routes (contract 1.3). */
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { Inference, OpenShell } from "../../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../../kit/Calls.ts"
import { nobody, refuses, type StatusRow, type StatusWorld } from "../../kit/StatusTable.ts"

const { method } = OpenShell
const { INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, PERMISSION_DENIED, ABORTED } =
  Status
const { UNIMPLEMENTED } = Status

const numbered = (count: number, value = "v") =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`K${index}`, value]))

const made = new Map<string, Promise<void>>()

/** Makes sure that there is a provider of that name. */
const provider =
  (name: string, type = "generic", credentials: Record<string, string> = { [`${name}_KEY`]: "v" }) =>
  (world: StatusWorld): Promise<void> => {
    const key = `${world.cluster.stateDir} ${name}`
    const known = made.get(key)
    if (known !== undefined) return known
    const making = (async () => {
      const request = { provider: { metadata: { name }, type, credentials } }
      await callUnary(await world.connection, method.createProvider, request)
    })()
    made.set(key, making)
    return making
  }

/** A sandbox of that name with that provider. */
const holder = (sandboxName: string, providerName: string) => async (world: StatusWorld) => {
  await world.sandbox(sandboxName)
  await provider(providerName)(world)
  await callUnary(await world.connection, method.attachSandboxProvider, { sandboxName, providerName })
}

const valid = { metadata: { name: "valid" }, type: "generic", credentials: { VALID_KEY: "v" } }
const invalid = (what: string, changes: object, text: string | RegExp): StatusRow =>
  refuses(method.createProvider, what, { provider: { ...valid, ...changes } }, INVALID_ARGUMENT, text)

const create: ReadonlyArray<StatusRow> = [
  refuses(method.createProvider, "no provider", {}, INVALID_ARGUMENT, "provider is required"),
  invalid("no type", { type: "" }, "provider.type is required"),
  invalid(
    "a long type",
    { type: "t".repeat(limits.providerTypeLength + 1) },
    `provider.type exceeds ${limits.providerTypeLength} characters`,
  ),
  invalid("no credentials", { credentials: {} }, "provider.credentials must not be empty"),
  invalid("an empty credential", { credentials: { A: "" } }, "provider.credentials must not be empty"),
  invalid(
    "too many credentials",
    { credentials: numbered(limits.providerCredentials + 1) },
    `provider.credentials exceed ${limits.providerCredentials} entries`,
  ),
  invalid(
    "a credential that no variable can be named by",
    { credentials: { "1A": "v" } },
    "provider.credentials: invalid key '1A'",
  ),
  invalid(
    "a credential of the supervisor's own name",
    { credentials: { OPENSHELL_SANDBOX_TOKEN: "v" } },
    "provider.credentials: key 'OPENSHELL_SANDBOX_TOKEN' is reserved",
  ),
  invalid(
    "a credential as it is shown",
    { credentials: { A: "REDACTED" } },
    "provider.credentials['A'] is what is shown in place of a credential, not one",
  ),
  invalid(
    "a credential that is too large",
    { credentials: { A: "v".repeat(limits.environmentValueBytes + 1) } },
    `provider.credentials['A'] exceeds ${limits.environmentValueBytes} bytes`,
  ),
  invalid(
    "too much configuration",
    { config: numbered(limits.providerConfigEntries + 1) },
    `provider.config exceeds ${limits.providerConfigEntries} entries`,
  ),
  invalid(
    "an expiry of nothing",
    { credentialExpiresAtMs: { OTHER: 5n } },
    "credential_expires_at_ms: 'OTHER' is not a credential of the provider",
  ),
  invalid(
    "an expiry before time began",
    { credentialExpiresAtMs: { VALID_KEY: -5n } },
    "credential_expires_at_ms['VALID_KEY'] is out of range",
  ),
  invalid("a name with a slash", { metadata: { name: "a/b" } }, /^provider.name must begin/),
  refuses(
    method.createProvider,
    "a name that is taken",
    { provider: { ...valid, metadata: { name: "taken" } } },
    ALREADY_EXISTS,
    "provider already exists",
    { after: provider("taken") },
  ),
  refuses(
    method.createProvider,
    "an unknown workspace",
    { provider: valid, workspace: "nowhere" },
    NOT_FOUND,
    "workspace 'nowhere' not found",
  ),
]

const others: ReadonlyArray<StatusRow> = [
  refuses(method.getProvider, "no name", {}, INVALID_ARGUMENT, "name is required"),
  refuses(method.getProvider, "an unknown name", { name: "nobody" }, NOT_FOUND, "provider not found"),
  refuses(
    method.listProviders,
    "a workspace and all of them",
    { workspace: "default", allWorkspaces: true },
    INVALID_ARGUMENT,
    "all_workspaces and workspace are mutually exclusive",
  ),
  refuses(method.updateProvider, "no provider", {}, INVALID_ARGUMENT, "provider is required"),
  refuses(
    method.updateProvider,
    "an unknown name",
    { provider: { metadata: { name: "nobody" } } },
    NOT_FOUND,
    "provider not found",
  ),
  refuses(
    method.updateProvider,
    "another type",
    { provider: { metadata: { name: "typed" }, type: "github" } },
    INVALID_ARGUMENT,
    "provider.type cannot be changed",
    { after: provider("typed") },
  ),
  refuses(
    method.updateProvider,
    "a version that is gone",
    { provider: { metadata: { name: "versioned", resourceVersion: 9n } } },
    ABORTED,
    "provider update failed due to concurrent modification (current resource_version: 1)",
    { after: provider("versioned") },
  ),
  refuses(
    method.updateProvider,
    "the removal of the last credential",
    { provider: { metadata: { name: "last" }, credentials: { last_KEY: "" } } },
    INVALID_ARGUMENT,
    "provider.credentials must not be empty",
    { after: provider("last") },
  ),
  refuses(
    method.deleteWorkspace,
    "one with a provider in it",
    { name: "p-full" },
    FAILED_PRECONDITION,
    "workspace 'p-full' still contains resources: 1 provider",
    {
      after: async (world) => {
        await world.workspace("p-full")
        await callUnary(await world.connection, method.createProvider, {
          workspace: "p-full",
          provider: { metadata: { name: "inside" }, type: "generic", credentials: { INSIDE_KEY: "v" } },
        })
      },
    },
  ),
  refuses(method.deleteProvider, "no name", {}, INVALID_ARGUMENT, "name is required"),
  refuses(
    method.deleteProvider,
    "one that a sandbox has",
    { name: "held" },
    FAILED_PRECONDITION,
    "provider 'held' is attached to sandboxes: p-holder",
    { after: holder("p-holder", "held") },
  ),
  refuses(
    method.getProviderProfile,
    "an unknown profile",
    { id: "nothing" },
    NOT_FOUND,
    "provider profile 'nothing' not found",
  ),
  ...(
    [
      [method.importProviderProfiles, "provider profile import"],
      [method.updateProviderProfiles, "provider profile update"],
      [method.deleteProviderProfile, "provider profile deletion"],
      [method.configureProviderRefresh, "provider credential refresh"],
      [method.rotateProviderCredential, "provider credential refresh"],
      [method.deleteProviderRefresh, "provider credential refresh"],
    ] as const
  ).map(([one, feature]) =>
    refuses(one, "anything", {}, UNIMPLEMENTED, `${feature} is not implemented by this gateway`),
  ),
]

const attachments: ReadonlyArray<StatusRow> = [
  ...([method.attachSandboxProvider, method.detachSandboxProvider] as const).flatMap((one) => [
    refuses(one, "no provider", { sandboxName: "a" }, INVALID_ARGUMENT, "provider_name is required"),
    refuses(
      one,
      "a provider name that is too long",
      { sandboxName: "a", providerName: "p".repeat(limits.objectNameLength + 1) },
      INVALID_ARGUMENT,
      `provider_name exceeds ${limits.objectNameLength} characters`,
    ),
    refuses(
      one,
      "an unknown sandbox",
      { sandboxName: "nobody", providerName: "p" },
      NOT_FOUND,
      "sandbox not found",
    ),
    refuses(
      one,
      "a version of the sandbox that is gone",
      { sandboxName: "p-cas", providerName: "p", expectedResourceVersion: 99n },
      ABORTED,
      /^provider (at|de)tach failed due to concurrent modification \(current resource_version: \d+\)$/,
      { after: (world) => world.sandbox("p-cas") },
    ),
  ]),
  refuses(
    method.attachSandboxProvider,
    "an unknown provider",
    { sandboxName: "p-plain", providerName: "nobody" },
    FAILED_PRECONDITION,
    "provider 'nobody' not found",
    { after: (world) => world.sandbox("p-plain") },
  ),
  refuses(
    method.createSandbox,
    "an unknown provider",
    { name: "p-never", spec: { providers: ["nobody"] } },
    FAILED_PRECONDITION,
    "provider 'nobody' not found",
  ),
  refuses(
    method.listSandboxProviders,
    "an unknown sandbox",
    { sandboxName: "nobody" },
    NOT_FOUND,
    "sandbox not found",
  ),
  refuses(
    method.getSandboxProviderEnvironment,
    "a user",
    { sandboxId: nobody },
    PERMISSION_DENIED,
    "this method requires a sandbox principal",
  ),
  refuses(
    method.getSandboxProviderEnvironment,
    "a sandbox that is gone",
    { sandboxId: nobody },
    NOT_FOUND,
    "sandbox not found",
    { sandbox: nobody },
  ),
  refuses(
    method.getSandboxProviderEnvironment,
    "another sandbox",
    { sandboxId: nobody },
    PERMISSION_DENIED,
    "cross-sandbox access denied: principal does not own this sandbox",
    { sandbox: (world) => world.sandbox("p-plain") },
  ),
]

const route = { providerName: "p", modelId: "m", noVerify: true }
const { setInferenceRoute, getInferenceRoute, deleteInferenceRoute, getInferenceBundle } = Inference.method

const inference: ReadonlyArray<StatusRow> = [
  ...([setInferenceRoute, getInferenceRoute, deleteInferenceRoute] as const).map((one) =>
    refuses(
      one,
      "an unknown route",
      { ...route, routeName: "other" },
      INVALID_ARGUMENT,
      "unknown inference route 'other': expected inference.local or sandbox-system",
    ),
  ),
  refuses(
    setInferenceRoute,
    "no provider",
    { ...route, providerName: "" },
    INVALID_ARGUMENT,
    "provider_name is required",
  ),
  refuses(setInferenceRoute, "no model", { ...route, modelId: "" }, INVALID_ARGUMENT, "model_id is required"),
  refuses(
    setInferenceRoute,
    "a model with a blank",
    { ...route, modelId: "a b" },
    INVALID_ARGUMENT,
    "model_id must be printable and hold no blanks",
  ),
  refuses(
    setInferenceRoute,
    "an unknown provider",
    { ...route, providerName: "nobody" },
    FAILED_PRECONDITION,
    "provider 'nobody' not found",
  ),
  refuses(
    setInferenceRoute,
    "a provider that serves none",
    { ...route, providerName: "dumb" },
    FAILED_PRECONDITION,
    "provider 'dumb' of type 'generic' serves no inference",
    { after: provider("dumb") },
  ),
  refuses(
    setInferenceRoute,
    "an endpoint where nobody is",
    { providerName: "silent", modelId: "m" },
    FAILED_PRECONDITION,
    /^inference endpoint verification failed: http:\/\/127\.0\.0\.1:1\/models: /,
    {
      after: async (world) => {
        await provider("silent", "openai", { OPENAI_API_KEY: "v" })(world)
        const config = { OPENAI_BASE_URL: "http://127.0.0.1:1" }
        const request = { provider: { metadata: { name: "silent" }, config } }
        await callUnary(await world.connection, method.updateProvider, request)
      },
    },
  ),
  refuses(
    setInferenceRoute,
    "a base URL that is none",
    { ...route, providerName: "nowhere" },
    INVALID_ARGUMENT,
    "provider 'nowhere': base url must be an http or https URL",
    {
      after: async (world) => {
        await provider("nowhere", "openai", { OPENAI_API_KEY: "v" })(world)
        const request = {
          provider: { metadata: { name: "nowhere" }, config: { OPENAI_BASE_URL: "ftp://a" } },
        }
        await callUnary(await world.connection, method.updateProvider, request)
      },
    },
  ),
  refuses(
    getInferenceRoute,
    "a route that nobody set",
    { routeName: "sandbox-system" },
    NOT_FOUND,
    "inference route 'sandbox-system' is not configured in workspace 'default'",
  ),
  refuses(getInferenceBundle, "a user", {}, PERMISSION_DENIED, "this method requires a sandbox principal"),
  refuses(getInferenceBundle, "a sandbox that is gone", {}, NOT_FOUND, `sandbox '${nobody}' not found`, {
    sandbox: nobody,
  }),
]

export const providerRows: ReadonlyArray<StatusRow> = [...create, ...others, ...attachments, ...inference]
