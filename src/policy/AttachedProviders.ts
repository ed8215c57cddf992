/** What the providers of a sandbox add to its configuration, read from the store. */
import { Clock, Effect, Layer } from "effect"
import { revisionOf } from "../domain/ProviderEnvironment.ts"
import { providerRules } from "../domain/ProviderRules.ts"
import { Providers } from "../store/Providers.ts"
import { noContribution, ProviderContribution } from "./ProviderContribution.ts"

/** One statement for a sandbox with providers, none for one without. */
export const layer: Layer.Layer<ProviderContribution, never, Providers> = Layer.effect(
  ProviderContribution,
  Effect.map(Providers, (providers) => ({
    of: ({ workspace, spec }) =>
      spec.providers.length === 0
        ? Effect.succeed(noContribution)
        : Effect.gen(function* () {
            const attached = yield* providers.named(workspace, spec.providers)
            const nowMs = yield* Clock.currentTimeMillis
            return { rules: providerRules(attached), envRevision: revisionOf(attached, nowMs) }
          }),
  })),
)
