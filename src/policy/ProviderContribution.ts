/** What a sandbox's providers add to its configuration. Whoever knows providers provides it. */
import { Context, Effect, Layer } from "effect"
import type { FailedPrecondition, Unavailable } from "../domain/Errors.ts"
import type { ProviderRules } from "../domain/Policy.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { SettingMap } from "../domain/SandboxConfig.ts"

export interface Contribution {
  readonly rules: ProviderRules
  /** Changes when the environment that the providers give does: 64 bits as a decimal number; 0 without providers. */
  readonly envRevision: string
}

export const noContribution: Contribution = { rules: {}, envRevision: "0" }

export class ProviderContribution extends Context.Tag("holdfast/ProviderContribution")<
  ProviderContribution,
  {
    /**
     * Asked for every read of a configuration, so it must be cheap; for a sandbox without providers it should cost
     * nothing. `settings`: what is in force for the sandbox. Fails with FailedPrecondition where the rules cannot
     * be made.
     */
    readonly of: (
      sandbox: Sandbox,
      settings: SettingMap,
    ) => Effect.Effect<Contribution, FailedPrecondition | Unavailable>
  }
>() {
  static readonly none: Layer.Layer<ProviderContribution> = Layer.succeed(ProviderContribution, {
    of: () => Effect.succeed(noContribution),
  })
}
