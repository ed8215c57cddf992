/** The configuration that a supervisor gets, made of everything that has a say in it. */
import type { ProviderRules, SandboxPolicy } from "../domain/Policy.ts"
import {
  type EffectiveSetting,
  registeredSettings,
  type SandboxConfig,
  type SettingMap,
} from "../domain/SandboxConfig.ts"
import { policyHash, revisionOf } from "./Canonical.ts"
import { withRules } from "./Merge.ts"

/** The policy with the rules that providers bring; without a policy there is nothing to add them to. */
export const composePolicy = (
  policy: SandboxPolicy | undefined,
  providerRules: ProviderRules,
): SandboxPolicy | undefined =>
  policy === undefined || Object.keys(providerRules).length === 0
    ? policy
    : withRules(policy, { ...policy.networkPolicies, ...providerRules })

/** Every registered setting; what is set globally holds for every sandbox. */
export const effectiveSettings = (
  global: SettingMap,
  own: SettingMap,
): Readonly<Record<string, EffectiveSetting>> =>
  Object.fromEntries(
    [...registeredSettings.keys()].map((key): readonly [string, EffectiveSetting] => {
      const everywhere = global[key]
      const here = own[key]
      if (everywhere !== undefined) return [key, { value: everywhere, scope: "global" }]
      return [key, { value: here, scope: here === undefined ? "none" : "sandbox" }]
    }),
  )

export interface ConfigParts {
  readonly workspace: string
  readonly own: {
    readonly policy: SandboxPolicy | undefined
    readonly version: number
    readonly settings: SettingMap
  }
  readonly global: {
    readonly policy: SandboxPolicy | undefined
    readonly version: number
    readonly settings: SettingMap
  }
  readonly providerRules: ProviderRules
  readonly providerEnvRevision: string
}

export const composeConfig = ({
  workspace,
  own,
  global,
  providerRules,
  providerEnvRevision,
}: ConfigParts): SandboxConfig => {
  const isGlobal = global.policy !== undefined
  const policy = composePolicy(isGlobal ? global.policy : own.policy, providerRules)
  const content = {
    policy,
    // A supervisor that reads version 0 would look for a policy of its own and offer it.
    version: isGlobal ? Math.max(1, own.version) : own.version,
    policyHash: policy === undefined ? "" : policyHash(policy),
    policySource: isGlobal ? ("global" as const) : ("sandbox" as const),
    globalPolicyVersion: isGlobal ? global.version : 0,
    settings: effectiveSettings(global.settings, own.settings),
  }
  return { ...content, configRevision: revisionOf(content), providerEnvRevision, workspace }
}
