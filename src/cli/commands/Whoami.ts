import { Effect } from "effect"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { print, printOutcome, renderFields } from "../Output.ts"

export const whoami: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const user = yield* gateway.currentUser.pipe(attempting(gateway, { action: "ask who you are" }))
    const { subject, displayName, roles, scopes, identityProvider } = user
    const told = print(
      renderFields([
        ["Subject", subject],
        ["Name", displayName],
        ["Roles", roles.join(", ")],
        ["Scopes", scopes.join(", ")],
        ["Known by", identityProvider],
      ]),
    )
    const json = { subject, displayName, roles, scopes, identityProvider }
    yield* printOutcome(invocation, { json, name: subject, told })
    return 0
  })
