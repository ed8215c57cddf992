/** Changes of configuration: what may be asked, and how it is stored (wire contract 3.10). */
import { Clock, Effect, Either, Option } from "effect"
import {
  concurrentModification,
  FailedPrecondition,
  InvalidArgument,
  PermissionDenied,
} from "../domain/Errors.ts"
import type { PolicyRevision, SandboxPolicy } from "../domain/Policy.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import {
  type ConfigUpdate,
  type ConfigUpdated,
  policySettingKey,
  type SettingMap,
} from "../domain/SandboxConfig.ts"
import type { Head } from "../store/ConfigRows.ts"
import { globalScope } from "../store/ConfigRows.ts"
import { type ConfigChange, Configs, type Heads } from "../store/Configs.ts"
import { policyHash, same } from "./Canonical.ts"
import { Configuration } from "./Configuration.ts"
import { contentRefusal, reservedRefusal, withoutProviderRules } from "./Content.ts"
import { describe, difference } from "./Difference.ts"
import { liveChangeRefusal, sameNetwork } from "./LiveChange.ts"
import { merge } from "./Merge.ts"
import { createdPolicy, materialised, retrying } from "./OwnHead.ts"
import { settingRefusal } from "./Settings.ts"

const invalid = (message: string) => new InvalidArgument({ message })

const unless = (refusal: string | undefined): Effect.Effect<void, InvalidArgument> =>
  refusal === undefined ? Effect.void : Effect.fail(invalid(refusal))

export const globalPolicyInForce = () =>
  new FailedPrecondition({
    message: "policy is managed globally; delete the global policy before changing a sandbox's",
  })

/** What the sandbox was started with; what is static cannot differ from it. */
const startedWith = (sandbox: Sandbox) =>
  Effect.gen(function* () {
    const created = createdPolicy(sandbox)
    if (created !== undefined) return created
    const configs = yield* Configs
    return Option.getOrUndefined(yield* configs.policy(sandbox.id, 1))?.policy
  })

const revisionAfter = (head: Head, policy: SandboxPolicy, at: Partial<PolicyRevision>) =>
  Effect.map(
    Clock.currentTimeMillis,
    (nowMs): PolicyRevision => ({
      version: head.version + 1,
      hash: policyHash(policy),
      status: "pending",
      loadError: "",
      createdAtMs: nowMs,
      loadedAtMs: 0,
      policy,
      provenance: {},
      ...at,
    }),
  )

/** Refuses what the sandbox cannot take: dangerous content, a change of what is static, a conflict with providers. */
const acceptable = (sandbox: Sandbox, heads: Heads, policy: SandboxPolicy) =>
  Effect.gen(function* () {
    yield* unless(contentRefusal(policy))
    const started = yield* startedWith(sandbox)
    if (started !== undefined) yield* unless(liveChangeRefusal(started, policy))
    const configuration = yield* Configuration
    yield* configuration.from(sandbox, { ...heads, own: { ...heads.own, policy, version: 1 } })
  })

/** What a change of a sandbox's policy says besides the policy. */
export interface PolicyChange {
  readonly expectedResourceVersion: number
  readonly provenance: Readonly<Record<string, string>>
  /** Further changes by the same write; they alone are reason enough to write. */
  readonly with?: Pick<ConfigChange, "drafts"> & { readonly draftVersion?: number }
}

/** One attempt at a change of a sandbox's policy; fails with HeadMoved when somebody else was first. */
export const changePolicy = (
  sandbox: Sandbox,
  heads: Heads,
  policy: SandboxPolicy,
  { expectedResourceVersion, provenance, with: also }: PolicyChange,
) =>
  Effect.gen(function* () {
    if (heads.global.policy !== undefined) return yield* globalPolicyInForce()
    yield* acceptable(sandbox, heads, policy)
    const { own } = heads
    const added = yield* revisionAfter(own, policy, { provenance })
    const isSame = own.policy !== undefined && added.hash === own.policyHash
    if (isSame && also === undefined) {
      if (expectedResourceVersion !== 0 && expectedResourceVersion !== sandbox.resourceVersion)
        return yield* concurrentModification("config update", sandbox.resourceVersion)
      return { version: own.version, hash: own.policyHash }
    }
    const configs = yield* Configs
    const draftVersion = also?.draftVersion ?? own.draftVersion
    const to = isSame
      ? { ...own, draftVersion }
      : { ...own, draftVersion, version: added.version, policy, policyHash: added.hash }
    yield* configs.write({
      scope: sandbox.id,
      from: own,
      to,
      ...(isSame ? {} : { added }),
      expectedResourceVersion,
      ...(also?.drafts === undefined ? {} : { drafts: also.drafts }),
    })
    if (!isSame)
      yield* Effect.logInfo("Policy changed", {
        version: added.version,
        difference: describe(difference(own.policy, policy)),
      }).pipe(Effect.annotateLogs({ sandbox: sandbox.id }))
    return { version: to.version, hash: to.policyHash }
  })

const policyUpdate = (
  sandbox: Sandbox,
  update: ConfigUpdate,
  next: (current: SandboxPolicy | undefined) => Either.Either<SandboxPolicy, InvalidArgument>,
) =>
  Effect.gen(function* () {
    const heads = yield* materialised(sandbox)
    const policy = yield* next(heads.own.policy)
    yield* unless(reservedRefusal(policy))
    const { version, hash } = yield* changePolicy(sandbox, heads, policy, {
      expectedResourceVersion: update.expectedResourceVersion,
      provenance: update.annotations,
    })
    return updated(update, { version, policyHash: hash, settingsRevision: heads.global.settingsRevision })
  })

const updated = (update: ConfigUpdate, what: Partial<ConfigUpdated>): ConfigUpdated => ({
  version: 0,
  policyHash: "",
  settingsRevision: 0,
  deleted: false,
  annotations: update.annotations,
  ...what,
})

/** The settings after the change; undefined when it changes nothing. */
const changedSettings = (settings: SettingMap, update: ConfigUpdate): SettingMap | undefined => {
  const { settingKey: key, settingValue: value } = update
  const { [key]: known, ...others } = settings
  if (update.deleteSetting) return known === undefined ? undefined : others
  return value === undefined || (known !== undefined && same(known, value))
    ? undefined
    : { ...settings, [key]: value }
}

const settingUpdate = (scope: string, update: ConfigUpdate) =>
  Effect.gen(function* () {
    yield* unless(settingRefusal(update))
    const configs = yield* Configs
    const { own, global } = yield* configs.heads(scope)
    const isGlobal = scope === globalScope
    if (!isGlobal && global.settings[update.settingKey] !== undefined)
      return yield* new FailedPrecondition({
        message: `setting '${update.settingKey}' is managed globally; delete the global setting before changing a sandbox's`,
      })
    const head = isGlobal ? global : own
    const settings = changedSettings(head.settings, update)
    if (settings === undefined) return updated(update, { settingsRevision: global.settingsRevision })
    const settingsRevision = yield* configs.write({
      scope,
      from: head,
      to: { ...head, settings },
      countSettings: true,
      ...(isGlobal ? {} : { expectedResourceVersion: update.expectedResourceVersion }),
    })
    return updated(update, { settingsRevision, deleted: update.deleteSetting })
  })

/** One change of one sandbox, by a user. */
export const updateSandbox = (sandbox: Sandbox, update: ConfigUpdate) => {
  const { policy, mergeOperations } = update
  if (policy !== undefined)
    return retrying(
      "policy update",
      policyUpdate(sandbox, update, () => Either.right(policy)),
    )
  if (mergeOperations.length > 0)
    return retrying(
      "policy update",
      policyUpdate(sandbox, update, (current) => merge(current ?? { version: 1 }, mergeOperations)),
    )
  return retrying("setting update", settingUpdate(sandbox.id, update))
}

const setGlobalPolicy = (policy: SandboxPolicy, update: ConfigUpdate) =>
  Effect.gen(function* () {
    yield* unless(reservedRefusal(policy) ?? contentRefusal(policy))
    const configs = yield* Configs
    const { global } = yield* configs.heads(globalScope)
    const nowMs = yield* Clock.currentTimeMillis
    // No supervisor answers for all sandboxes: it is in force once it is stored.
    const added = yield* revisionAfter(global, policy, {
      provenance: update.annotations,
      status: "loaded",
      loadedAtMs: nowMs,
    })
    if (global.policy !== undefined && added.hash === global.policyHash)
      return updated(update, {
        version: global.version,
        policyHash: added.hash,
        settingsRevision: global.settingsRevision,
      })
    const settingsRevision = yield* configs.write({
      scope: globalScope,
      from: global,
      to: { ...global, version: added.version, policy, policyHash: added.hash },
      added,
      countSettings: true,
    })
    return updated(update, { version: added.version, policyHash: added.hash, settingsRevision })
  })

const removeGlobalPolicy = (update: ConfigUpdate) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const { global } = yield* configs.heads(globalScope)
    if (global.policy === undefined) return updated(update, { settingsRevision: global.settingsRevision })
    const settingsRevision = yield* configs.write({
      scope: globalScope,
      from: global,
      to: { ...global, policy: undefined, policyHash: "" },
      countSettings: true,
    })
    yield* configs.retire(globalScope)
    return updated(update, { settingsRevision, deleted: true })
  })

/** One change for every sandbox. */
export const updateGlobal = (update: ConfigUpdate) => {
  const { policy } = update
  if (policy !== undefined) return retrying("policy update", setGlobalPolicy(policy, update))
  return retrying(
    "setting update",
    update.deleteSetting && update.settingKey === policySettingKey
      ? removeGlobalPolicy(update)
      : settingUpdate(globalScope, update),
  )
}

/**
 * A supervisor offers the policy it found in its image, or adds paths that the sandbox needs. It may not give its
 * sandbox more of the network than a user did.
 */
export const syncPolicy = (sandbox: Sandbox, update: ConfigUpdate, offered: SandboxPolicy) =>
  retrying(
    "policy update",
    Effect.gen(function* () {
      const heads = yield* materialised(sandbox)
      const policy = withoutProviderRules(offered)
      const { own } = heads
      if (own.policy !== undefined && !sameNetwork(own.policy, policy))
        return yield* new PermissionDenied({
          message: "a sandbox may sync its first policy only; network policies are changed by users",
        })
      const { version, hash } = yield* changePolicy(sandbox, heads, policy, {
        expectedResourceVersion: 0,
        provenance: {},
      })
      return updated(update, { version, policyHash: hash, settingsRevision: heads.global.settingsRevision })
    }),
  )
