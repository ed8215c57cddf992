/** Providers, what sandboxes have of them, and inference routes, over a gateway's connection. */
import type { Effect } from "effect"
import type { RouteDraft } from "../domain/Inference.ts"
import type { Provider, ProviderFields } from "../domain/Provider.ts"
import type { SeenProfile } from "../domain/ProviderProfile.ts"
import { inferenceCalls } from "../wire/openshell-v1/Inference.ts"
import { profileCalls } from "../wire/openshell-v1/ProviderProfiles.ts"
import { providerCalls } from "../wire/openshell-v1/Providers.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { pages } from "./Pages.ts"

const repeatable = { repeatable: true } as const

/** What is left out is empty: in an update it stays as it is. */
export type ProviderChange = Pick<ProviderFields, "name"> & Partial<ProviderFields>

const whole = (change: ProviderChange): ProviderFields => ({
  labels: {},
  annotations: {},
  resourceVersion: 0,
  type: "",
  credentials: {},
  config: {},
  credentialExpiresAtMs: {},
  profileWorkspace: "",
  hasCredentialHandles: false,
  ...change,
})

export const createProvider = (gateway: GatewayClientService, provider: ProviderChange) =>
  gateway.call(providerCalls.create, { workspace: gateway.workspace, provider: whole(provider) })

export const getProvider = (gateway: GatewayClientService, name: string) =>
  gateway.call(providerCalls.get, { name, workspace: gateway.workspace }, repeatable)

export const listProviders = (
  gateway: GatewayClientService,
  options: { readonly allWorkspaces?: boolean; readonly limit?: number | undefined } = {},
): Effect.Effect<ReadonlyArray<Provider>, ClientError> => {
  const allWorkspaces = options.allWorkspaces ?? false
  const workspace = allWorkspaces ? "" : gateway.workspace
  return pages(
    (offset, limit) =>
      gateway.call(providerCalls.list, { offset, limit, workspace, allWorkspaces }, repeatable),
    options.limit,
  )
}

export const updateProvider = (gateway: GatewayClientService, provider: ProviderChange) =>
  gateway.call(providerCalls.update, { workspace: gateway.workspace, provider: whole(provider) })

/** Whether there was one to delete. */
export const deleteProvider = (gateway: GatewayClientService, name: string) =>
  gateway.call(providerCalls.delete, { name, workspace: gateway.workspace })

export const listProfiles = (
  gateway: GatewayClientService,
): Effect.Effect<ReadonlyArray<SeenProfile>, ClientError> =>
  pages((offset, limit) =>
    gateway.call(profileCalls.list, { offset, limit, workspace: gateway.workspace }, repeatable),
  )

export const getProfile = (gateway: GatewayClientService, id: string) =>
  gateway.call(profileCalls.get, { id, workspace: gateway.workspace }, repeatable)

export const listSandboxProviders = (gateway: GatewayClientService, sandbox: string) =>
  gateway.call(providerCalls.ofSandbox, { name: sandbox, workspace: gateway.workspace }, repeatable)

const attachment = (gateway: GatewayClientService, sandboxName: string, providerName: string) => ({
  sandboxName,
  providerName,
  expectedResourceVersion: 0,
  workspace: gateway.workspace,
})

/** False where the sandbox has it already. */
export const attachProvider = (gateway: GatewayClientService, sandbox: string, provider: string) =>
  gateway.call(providerCalls.attach, attachment(gateway, sandbox, provider), repeatable)

/** False where the sandbox does not have it. */
export const detachProvider = (gateway: GatewayClientService, sandbox: string, provider: string) =>
  gateway.call(providerCalls.detach, attachment(gateway, sandbox, provider), repeatable)

/** An empty route name is `inference.local`, here and below. */
export const setInferenceRoute = (gateway: GatewayClientService, route: Omit<RouteDraft, "workspace">) =>
  gateway.call(inferenceCalls.set, { ...route, workspace: gateway.workspace })

export const getInferenceRoute = (gateway: GatewayClientService, routeName: string) =>
  gateway.call(inferenceCalls.get, { routeName, workspace: gateway.workspace }, repeatable)

/** Whether there was one to delete. */
export const deleteInferenceRoute = (gateway: GatewayClientService, routeName: string) =>
  gateway.call(inferenceCalls.delete, { routeName, workspace: gateway.workspace })
