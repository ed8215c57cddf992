import { Effect } from "effect"
import type { ClientError, GatewayClientService } from "../../client/GatewayClient.ts"
import { listProviders } from "../../client/Providers.ts"
import { listWorkspaces } from "../../client/Workspaces.ts"
import { bashCompletion } from "../completion/Bash.ts"
import { fishCompletion } from "../completion/Fish.ts"
import { outlineOf } from "../completion/Outline.ts"
import { zshCompletion } from "../completion/Zsh.ts"
import { openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { operand } from "../Options.ts"
import { print } from "../Output.ts"

export const completions: Implementation = (invocation) => {
  const outline = outlineOf(invocation.program)
  switch (operand(invocation, 0).toLowerCase()) {
    case "zsh":
      return Effect.as(print(zshCompletion(outline)), 0)
    case "fish":
      return Effect.as(print(fishCompletion(outline)), 0)
    default:
      return Effect.as(print(bashCompletion(outline)), 0)
  }
}

/** Longer than this and pressing Tab feels broken. */
const patienceMs = 1_500

/** As many as a shell can show. */
const limit = 1_000

const listed = (
  gateway: GatewayClientService,
  kind: string,
): Effect.Effect<ReadonlyArray<{ readonly name: string }>, ClientError> => {
  switch (kind) {
    case "provider":
      return listProviders(gateway, { limit })
    case "workspace":
      return listWorkspaces(gateway, { limit })
    default:
      return gateway.listSandboxes({ limit })
  }
}

/** Silent when the gateway does not answer: a shell is in the middle of a line. */
export const completionNames: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const found = yield* listed(gateway, operand(invocation, 0))
    yield* print(found.map(({ name }) => `${name}\n`).join(""))
    return 0
  }).pipe(
    Effect.timeout(patienceMs),
    Effect.orElseSucceed(() => 0),
  )
