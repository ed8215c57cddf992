import { Clock, Effect } from "effect"
import type { GatewayClientService } from "../../client/GatewayClient.ts"
import {
  createProvider,
  deleteProvider,
  getProfile,
  getProvider,
  listProviders,
  updateProvider,
} from "../../client/Providers.ts"
import type { Provider } from "../../domain/Provider.ts"
import { credentialsOf, expiriesOf } from "../Credentials.ts"
import { type CliFailure, usageFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { flag, listOption, mapOption, numberOption, operand, textOption, unlessNegated } from "../Options.ts"
import { print, printDeleted, printListing, printOutcome, say } from "../Output.ts"
import { describeProvider, providerColumns, providerJson, providerWideColumns } from "../ProviderView.ts"

const report = (invocation: Invocation, provider: Provider, done: string): Effect.Effect<void> => {
  const told = say(`${done} provider "${provider.name}".`)
  return printOutcome(invocation, { json: providerJson(provider), name: provider.name, told })
}

/** Credentials of the profile that the environment has. */
const fromEnvironment = (
  gateway: GatewayClientService,
  type: string,
): Effect.Effect<Readonly<Record<string, string>>, CliFailure> =>
  Effect.gen(function* () {
    const profile = yield* getProfile(gateway, type).pipe(
      attempting(gateway, { action: `look up provider profile "${type}"` }),
    )
    const found = profile.credentials.flatMap(({ envVars }) => {
      const name = envVars.find((variable) => (process.env[variable] ?? "") !== "")
      return name === undefined ? [] : [[name, process.env[name] ?? ""] as const]
    })
    if (found.length > 0) return Object.fromEntries(found)
    const names = profile.credentials.flatMap(({ envVars }) => envVars)
    return yield* usageFailure(`the environment has none of ${names.join(", ")}`)
  })

const given = (invocation: Invocation) =>
  Effect.all({
    credentials: credentialsOf(invocation),
    credentialExpiresAtMs: expiriesOf(invocation),
    config: Effect.succeed(mapOption(invocation, "config")),
    labels: Effect.succeed(mapOption(invocation, "label")),
  })

export const providerCreate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const type = textOption(invocation, "type") ?? ""
    const gateway = yield* openGateway(invocation)
    const fields = yield* given(invocation)
    const found = flag(invocation, "fromEnv") ? yield* fromEnvironment(gateway, type) : {}
    const credentials = { ...found, ...fields.credentials }
    const made = yield* createProvider(gateway, { name, type, ...fields, credentials }).pipe(
      attempting(gateway, { action: `create provider "${name}"` }),
    )
    yield* report(invocation, made, "Created")
    return 0
  })

export const providerUpdate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const fields = yield* given(invocation)
    const removed = Object.fromEntries(listOption(invocation, "removeCredential").map((key) => [key, ""]))
    const resourceVersion = numberOption(invocation, "ifVersion") ?? 0
    const credentials = { ...fields.credentials, ...removed }
    const made = yield* updateProvider(gateway, { name, ...fields, credentials, resourceVersion }).pipe(
      attempting(gateway, { action: `update provider "${name}"` }),
    )
    yield* report(invocation, made, "Updated")
    return 0
  })

export const providerGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const found = yield* getProvider(gateway, name).pipe(
      attempting(gateway, { action: `get provider "${name}"` }),
    )
    const told = print(describeProvider(found, yield* Clock.currentTimeMillis))
    yield* printOutcome(invocation, { json: providerJson(found), name: found.name, told })
    return 0
  })

export const providerList: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const allWorkspaces = flag(invocation, "allWorkspaces")
    const rows = yield* listProviders(gateway, {
      allWorkspaces,
      limit: numberOption(invocation, "limit"),
    }).pipe(attempting(gateway, { action: "list providers" }))
    yield* printListing(invocation, {
      rows,
      columns: providerColumns(yield* Clock.currentTimeMillis, allWorkspaces),
      wide: providerWideColumns,
      json: providerJson,
      name: ({ name }) => name,
      empty: `No providers${allWorkspaces ? "" : ` in workspace "${gateway.workspace}"`}.`,
      headings: unlessNegated(invocation, "headers"),
    })
    return 0
  })

export const providerDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    yield* Effect.forEach(
      [...new Set(invocation.operands)],
      (name) =>
        deleteProvider(gateway, name).pipe(
          attempting(gateway, { action: `delete provider "${name}"` }),
          Effect.flatMap((deleted) => printDeleted(invocation, "provider", name, deleted)),
        ),
      { discard: true },
    )
    return 0
  })
