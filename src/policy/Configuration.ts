/** The configuration that is in force: composed of what is stored, and kept until something of it changes. */
import { Context, Effect, Layer } from "effect"
import type { FailedPrecondition, Unavailable } from "../domain/Errors.ts"
import { FailedPrecondition as Failed } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { type GatewayConfig, registeredSettings, type SandboxConfig } from "../domain/SandboxConfig.ts"
import { globalScope } from "../store/ConfigRows.ts"
import { Configs, type Heads } from "../store/Configs.ts"
import { canonical } from "./Canonical.ts"
import { composeConfig } from "./Compose.ts"
import { contentRefusal } from "./Content.ts"
import { effectiveHead } from "./OwnHead.ts"
import { type Contribution, ProviderContribution } from "./ProviderContribution.ts"

interface Kept {
  readonly revisions: { readonly own: number; readonly global: number }
  readonly heads: Heads
  /** The contribution that `config` is made with. */
  readonly contributed: string
  readonly config: SandboxConfig
}

const make = Effect.gen(function* () {
  const configs = yield* Configs
  const contribution = yield* ProviderContribution
  /** In the order of their last use. */
  const kept = new Map<string, Kept>()

  const keep = (sandboxId: string, entry: Kept): void => {
    kept.delete(sandboxId)
    kept.set(sandboxId, entry)
    for (const oldest of kept.keys()) {
      if (kept.size <= limits.configCached) break
      kept.delete(oldest)
    }
  }

  const compose = (
    sandbox: Sandbox,
    heads: Heads,
    { rules, envRevision }: Contribution,
  ): Effect.Effect<SandboxConfig, FailedPrecondition> => {
    const { own, global } = heads
    const config = composeConfig({
      workspace: sandbox.workspace,
      own: effectiveHead(sandbox, own),
      global,
      providerRules: rules,
      providerEnvRevision: envRevision,
    })
    const refusal =
      config.policy === undefined || Object.keys(rules).length === 0
        ? undefined
        : contentRefusal(config.policy)
    return refusal === undefined
      ? Effect.succeed(config)
      : Effect.fail(
          new Failed({
            message: `provider composition produced an invalid effective policy: ${refusal}`,
          }),
        )
  }

  const contributed = (sandbox: Sandbox, { own, global }: Heads) =>
    contribution.of(sandbox, { ...own.settings, ...global.settings })

  /** With what is stored as the caller has just read it. */
  const from = (sandbox: Sandbox, heads: Heads) =>
    Effect.flatMap(contributed(sandbox, heads), (added) => compose(sandbox, heads, added))

  /** Unchanged since the last time, it costs one small statement beside what providers cost. */
  const of = (sandbox: Sandbox): Effect.Effect<SandboxConfig, FailedPrecondition | Unavailable> =>
    Effect.gen(function* () {
      const known = kept.get(sandbox.id)
      const revisions = known === undefined ? undefined : yield* configs.revisions(sandbox.id)
      const isCurrent =
        known !== undefined &&
        revisions?.own === known.revisions.own &&
        revisions.global === known.revisions.global
      const heads = isCurrent ? known.heads : yield* configs.heads(sandbox.id)
      const added = yield* contributed(sandbox, heads)
      const contribution = canonical(added)
      if (isCurrent && known.contributed === contribution) {
        keep(sandbox.id, known)
        return known.config
      }
      const config = yield* compose(sandbox, heads, added)
      keep(sandbox.id, {
        revisions: { own: heads.own.revision, global: heads.global.revision },
        heads,
        contributed: contribution,
        config,
      })
      return config
    })

  const gateway = Effect.map(
    configs.heads(globalScope),
    ({ global }): GatewayConfig => ({
      settings: Object.fromEntries(
        [...registeredSettings.keys()].map((key) => [key, global.settings[key]] as const),
      ),
      settingsRevision: global.settingsRevision,
    }),
  )

  return { of, from, gateway } as const
})

export class Configuration extends Context.Tag("holdfast/Configuration")<
  Configuration,
  Effect.Effect.Success<typeof make>
>() {
  static readonly layer = Layer.effect(Configuration, make)
}
