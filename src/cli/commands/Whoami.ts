import { Effect } from "effect"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { print, printJson, renderFields } from "../Output.ts"

export const whoami: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const user = yield* gateway.currentUser.pipe(attempting(gateway, { action: "ask who you are" }))
    const { subject, displayName, roles, scopes, identityProvider } = user
    const { output } = invocation.globals
    if (output === "json") yield* printJson({ subject, displayName, roles, scopes, identityProvider })
    else if (output === "name") yield* print(`${subject}\n`)
    else
      yield* print(
        renderFields([
          ["Subject", subject],
          ["Name", displayName],
          ["Roles", roles.join(", ")],
          ["Scopes", scopes.join(", ")],
          ["Known by", identityProvider],
        ]),
      )
    return 0
  })
