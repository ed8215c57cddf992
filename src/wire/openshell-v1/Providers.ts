/** Providers and what sandboxes have of them (contract 2.2, 2.8). */
import type {
  Attachment,
  AttachmentChange,
  Provider,
  ProviderDraft,
  ProviderName,
  ProviderQuery,
  RefreshQuery,
  RefreshStatus,
} from "../../domain/Provider.ts"
import type {
  CredentialBinding,
  EnvironmentQuery,
  ProviderEnvironment,
} from "../../domain/ProviderEnvironment.ts"
import { called, empty, nothing, same, served } from "../grpc/Protobuf.ts"
import { type AttachSandboxProviderRequest, OpenShell } from "./Generated.ts"
import {
  fieldsOf,
  fieldsToWire,
  numberOf,
  providerOf,
  providerToWire,
  refreshStatusToWire,
} from "./ProviderMessages.ts"
import { sandboxToWire } from "./SandboxMessages.ts"

const { method } = OpenShell

const answered = (provider: Provider) => ({ provider: providerToWire(provider) })
const page = (found: ReadonlyArray<Provider>) => ({ providers: found.map(providerToWire) })

const attachmentOf = ({
  sandboxName,
  providerName,
  expectedResourceVersion,
  workspace,
}: Pick<
  AttachSandboxProviderRequest,
  "sandboxName" | "providerName" | "expectedResourceVersion" | "workspace"
>): Attachment => ({
  sandboxName,
  providerName,
  expectedResourceVersion: numberOf(expectedResourceVersion, "expected_resource_version"),
  workspace,
})

const bindingToWire = ({ endpoints, credentialIdentity, workloadCredentialHandle }: CredentialBinding) => ({
  endpoints: endpoints.map((endpoint) => ({ ...endpoint })),
  credentialIdentity,
  workloadCredentialHandle,
})

const mapped = <A, B>(map: Readonly<Record<string, A>>, f: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, f(value)]))

export const providers = {
  create: served(
    method.createProvider,
    ({ provider, workspace }): ProviderDraft => ({ workspace, provider: fieldsOf(provider) }),
    answered,
  ),
  get: served(method.getProvider, same<ProviderName>, answered),
  list: served(method.listProviders, same<ProviderQuery>, page),
  update: served(
    method.updateProvider,
    ({ provider, workspace, credentialExpiresAtMs }): ProviderDraft => ({
      workspace,
      provider: fieldsOf(provider, credentialExpiresAtMs),
    }),
    answered,
  ),
  delete: served(method.deleteProvider, same<ProviderName>, (deleted: boolean) => ({ deleted })),
  refreshStatus: served(
    method.getProviderRefreshStatus,
    same<RefreshQuery>,
    (found: ReadonlyArray<RefreshStatus>) => ({ credentials: found.map(refreshStatusToWire) }),
  ),
  configureRefresh: served(method.configureProviderRefresh, nothing, empty),
  rotateCredential: served(method.rotateProviderCredential, nothing, empty),
  deleteRefresh: served(method.deleteProviderRefresh, nothing, empty),

  ofSandbox: served(
    method.listSandboxProviders,
    ({ sandboxName, workspace }): ProviderName => ({ name: sandboxName, workspace }),
    page,
  ),
  attach: served(method.attachSandboxProvider, attachmentOf, ({ sandbox, changed }: AttachmentChange) => ({
    sandbox: sandboxToWire(sandbox),
    attached: changed,
  })),
  detach: served(method.detachSandboxProvider, attachmentOf, ({ sandbox, changed }: AttachmentChange) => ({
    sandbox: sandboxToWire(sandbox),
    detached: changed,
  })),
  environment: served(
    method.getSandboxProviderEnvironment,
    same<EnvironmentQuery>,
    (found: ProviderEnvironment) => ({
      environment: { ...found.environment },
      providerEnvRevision: BigInt(found.revision),
      credentialExpiresAtMs: mapped(found.credentialExpiresAtMs, BigInt),
      staticCredentialBindings: mapped(found.staticCredentialBindings, bindingToWire),
    }),
  ),
}

const draftToWire = ({ workspace, provider }: ProviderDraft) => ({
  workspace,
  ...(provider === undefined ? {} : { provider: fieldsToWire(provider) }),
})

const attachmentToWire = (attachment: Attachment) => ({
  ...attachment,
  expectedResourceVersion: BigInt(attachment.expectedResourceVersion),
})

export const providerCalls = {
  create: called(method.createProvider, draftToWire, ({ provider }) => providerOf(provider)),
  get: called(method.getProvider, same<ProviderName>, ({ provider }) => providerOf(provider)),
  list: called(method.listProviders, same<ProviderQuery>, (found) => found.providers.map(providerOf)),
  update: called(method.updateProvider, draftToWire, ({ provider }) => providerOf(provider)),
  delete: called(method.deleteProvider, same<ProviderName>, ({ deleted }) => deleted),
  ofSandbox: called(
    method.listSandboxProviders,
    ({ name, workspace }: ProviderName) => ({ sandboxName: name, workspace }),
    (found) => found.providers.map(providerOf),
  ),
  attach: called(method.attachSandboxProvider, attachmentToWire, ({ attached }) => attached),
  detach: called(method.detachSandboxProvider, attachmentToWire, ({ detached }) => detached),
}
