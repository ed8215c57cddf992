import { Clock, Effect } from "effect"
import { attachProvider, detachProvider, listSandboxProviders } from "../../client/Providers.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { operand, unlessNegated } from "../Options.ts"
import { printJsonLine, printListing, printOutcome, say } from "../Output.ts"
import { providerColumns, providerJson, providerWideColumns } from "../ProviderView.ts"

export const sandboxProviderList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const rows = yield* listSandboxProviders(gateway, name).pipe(
      attempting(gateway, { action: `list providers of sandbox "${name}"`, sandbox: name }),
    )
    yield* printListing(invocation, {
      rows,
      columns: providerColumns(yield* Clock.currentTimeMillis, false),
      wide: providerWideColumns,
      json: providerJson,
      name: (provider) => provider.name,
      empty: `Sandbox "${name}" has no providers.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

const change =
  (verb: "attach" | "detach"): Implementation =>
  (invocation) =>
    Effect.gen(function* () {
      const [name = "", ...providers] = invocation.operands
      const gateway = yield* openGateway(invocation)
      const ask = verb === "attach" ? attachProvider : detachProvider
      yield* Effect.forEach(
        [...new Set(providers)],
        (provider) =>
          Effect.gen(function* () {
            const action =
              verb === "attach"
                ? `attach provider "${provider}" to sandbox "${name}"`
                : `detach provider "${provider}" from sandbox "${name}"`
            const changed = yield* ask(gateway, name, provider).pipe(
              attempting(gateway, { action, sandbox: name }),
            )
            const json = { sandbox: name, provider, changed }
            const told = say(sentence(verb, name, provider, changed))
            yield* printOutcome(invocation, { json, name: provider, told }, printJsonLine)
          }),
        { discard: true },
      )
      return 0
    })

const sentence = (verb: "attach" | "detach", name: string, provider: string, changed: boolean): string => {
  if (verb === "attach")
    return changed
      ? `Attached provider "${provider}" to sandbox "${name}": commands that start from now on have it.`
      : `Sandbox "${name}" has provider "${provider}" already.`
  return changed
    ? `Detached provider "${provider}" from sandbox "${name}": commands that start from now on are without it.`
    : `Sandbox "${name}" does not have provider "${provider}".`
}

export const sandboxProviderAttach = change("attach")
export const sandboxProviderDetach = change("detach")
