/** Configuration and policies (contract 2.7, 2.10). */
import type { PolicySummary } from "../../domain/Policy.ts"
import type {
  ConfigUpdate,
  ConfigUpdated,
  GatewayConfig,
  PolicyListQuery,
  PolicyReport,
  PolicyStatusQuery,
  PolicyStatusReply,
  SandboxConfig,
  SettingValue,
} from "../../domain/SandboxConfig.ts"
import { called, empty, nothing, same, served } from "../grpc/Protobuf.ts"
import {
  type GetGatewayConfigResponse,
  type GetSandboxConfigResponse,
  OpenShell,
  PolicySource,
  type UpdateConfigRequest,
} from "./Generated.ts"
import {
  countOf,
  effectiveSettingOf,
  effectiveSettingToWire,
  operationOf,
  operationToWire,
  policyOf,
  policyToWire,
  reportedStatusOf,
  revisionOf,
  revisionToWire,
  settingOf,
  settingToWire,
  statusToWire,
  summaryOf,
  summaryToWire,
} from "./PolicyMessages.ts"

const { method } = OpenShell

const mapped = <A, B>(map: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]))

const configToWire = (config: SandboxConfig) => ({
  ...(config.policy === undefined ? {} : { policy: policyToWire(config.policy) }),
  version: config.version,
  policyHash: config.policyHash,
  settings: mapped(config.settings, effectiveSettingToWire),
  configRevision: BigInt(config.configRevision),
  policySource: config.policySource === "global" ? PolicySource.GLOBAL : PolicySource.SANDBOX,
  globalPolicyVersion: config.globalPolicyVersion,
  providerEnvRevision: BigInt(config.providerEnvRevision),
  workspace: config.workspace,
  policyValidationFailureMode: "fail_closed",
})

const configOf = (config: GetSandboxConfigResponse): SandboxConfig => ({
  policy: config.policy === undefined ? undefined : policyOf(config.policy),
  version: config.version,
  policyHash: config.policyHash,
  settings: mapped(config.settings, effectiveSettingOf),
  configRevision: String(config.configRevision),
  policySource: config.policySource === PolicySource.GLOBAL ? "global" : "sandbox",
  globalPolicyVersion: config.globalPolicyVersion,
  providerEnvRevision: String(config.providerEnvRevision),
  workspace: config.workspace,
})

const gatewayConfigToWire = ({ settings, settingsRevision }: GatewayConfig) => ({
  settings: mapped(settings, settingToWire),
  settingsRevision: BigInt(settingsRevision),
})

const gatewayConfigOf = ({ settings, settingsRevision }: GetGatewayConfigResponse): GatewayConfig => ({
  settings: mapped<(typeof settings)[string], SettingValue | undefined>(settings, settingOf),
  settingsRevision: Number(settingsRevision),
})

const updateOf = (request: UpdateConfigRequest): ConfigUpdate => ({
  name: request.name,
  workspace: request.workspace,
  global: request.global,
  policy: request.policy === undefined ? undefined : policyOf(request.policy),
  settingKey: request.settingKey,
  settingValue: settingOf(request.settingValue),
  deleteSetting: request.deleteSetting,
  mergeOperations: request.mergeOperations.map(operationOf),
  expectedResourceVersion: countOf(request.expectedResourceVersion),
  annotations: request.annotations,
})

const updateToWire = (update: ConfigUpdate) => ({
  name: update.name,
  workspace: update.workspace,
  global: update.global,
  ...(update.policy === undefined ? {} : { policy: policyToWire(update.policy) }),
  settingKey: update.settingKey,
  ...(update.settingValue === undefined ? {} : { settingValue: settingToWire(update.settingValue) }),
  deleteSetting: update.deleteSetting,
  mergeOperations: update.mergeOperations.map(operationToWire),
  expectedResourceVersion: BigInt(update.expectedResourceVersion),
  annotations: { ...update.annotations },
})

export const config = {
  get: served(method.getSandboxConfig, ({ sandboxId }) => sandboxId, configToWire),
  gateway: served(method.getGatewayConfig, nothing, gatewayConfigToWire),
  update: served(method.updateConfig, updateOf, (updated: ConfigUpdated) => ({
    ...updated,
    settingsRevision: BigInt(updated.settingsRevision),
    annotations: { ...updated.annotations },
  })),
  policyStatus: served(
    method.getSandboxPolicyStatus,
    same<PolicyStatusQuery>,
    ({ revision, activeVersion }: PolicyStatusReply) => ({
      revision: revisionToWire(revision),
      activeVersion,
    }),
  ),
  policies: served(
    method.listSandboxPolicies,
    same<PolicyListQuery>,
    (revisions: ReadonlyArray<PolicySummary>) => ({ revisions: revisions.map(summaryToWire) }),
  ),
  report: served(
    method.reportPolicyStatus,
    ({ sandboxId, version, status, loadError }): PolicyReport => ({
      sandboxId,
      version,
      status: reportedStatusOf(status),
      loadError,
    }),
    empty,
  ),
}

export const configCalls = {
  get: called(method.getSandboxConfig, (sandboxId: string) => ({ sandboxId }), configOf),
  gateway: called(method.getGatewayConfig, empty, gatewayConfigOf),
  update: called(
    method.updateConfig,
    updateToWire,
    (reply): ConfigUpdated => ({ ...reply, settingsRevision: Number(reply.settingsRevision) }),
  ),
  /** Undefined: a gateway that answers without a revision. */
  policyStatus: called(
    method.getSandboxPolicyStatus,
    same<PolicyStatusQuery>,
    ({ revision, activeVersion }): PolicyStatusReply | undefined =>
      revision === undefined ? undefined : { revision: revisionOf(revision), activeVersion },
  ),
  policies: called(method.listSandboxPolicies, same<PolicyListQuery>, ({ revisions }) =>
    revisions.map(summaryOf),
  ),
  report: called(
    method.reportPolicyStatus,
    ({ status, ...report }: PolicyReport) => ({
      ...report,
      ...(status === undefined ? {} : { status: statusToWire(status) }),
    }),
    nothing,
  ),
}
