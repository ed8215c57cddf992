/** Whether providers may be together in a sandbox. */
import { Effect } from "effect"
import { FailedPrecondition, type Unavailable } from "../domain/Errors.ts"
import { conflictOf } from "../domain/ProviderEnvironment.ts"
import { Providers, type StoredProvider } from "../store/Providers.ts"

/** The wire contract's text for a provider that a sandbox would need. */
export const providerMissing = (name: string) =>
  new FailedPrecondition({ message: `provider '${name}' not found` })

/** All of them, or a refusal that names the first that is missing or two that cannot be together. */
export const together = (
  names: ReadonlyArray<string>,
  found: ReadonlyArray<StoredProvider>,
): Effect.Effect<ReadonlyArray<StoredProvider>, FailedPrecondition> => {
  const missing = names.find((name) => !found.some((provider) => provider.name === name))
  if (missing !== undefined) return Effect.fail(providerMissing(missing))
  const conflict = conflictOf(found)
  return conflict === undefined
    ? Effect.succeed(found)
    : Effect.fail(new FailedPrecondition({ message: conflict }))
}

/** Inside the transaction that writes the sandbox: refuses providers that it cannot have, and holds the others. */
export const requireAttachable = (
  workspace: string,
  names: ReadonlyArray<string>,
): Effect.Effect<void, FailedPrecondition | Unavailable, Providers> =>
  names.length === 0
    ? Effect.void
    : Effect.flatMap(Providers, (providers) => providers.held(workspace, names)).pipe(
        Effect.flatMap((found) => together(names, found)),
        Effect.asVoid,
      )
