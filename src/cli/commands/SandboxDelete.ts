import { Effect } from "effect"
import { waitForPhase } from "../../client/Watch.ts"
import { usageFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { flag } from "../Options.ts"
import { printDeleted, say } from "../Output.ts"
import { confirm } from "../terminal/Confirm.ts"

export const sandboxDelete: Implementation = (invocation) =>
  Effect.gen(function* () {
    const all = flag(invocation, "all")
    if (all === invocation.operands.length > 0) {
      return yield* usageFailure("name the sandboxes to delete, or say --all, not both")
    }
    const gateway = yield* openGateway(invocation)
    const names = all
      ? (yield* gateway.listSandboxes().pipe(attempting(gateway, { action: "list sandboxes" }))).map(
          ({ name }) => name,
        )
      : [...new Set(invocation.operands)]
    if (names.length === 0) {
      yield* say(`No sandboxes in workspace "${gateway.workspace}".`)
      return 0
    }
    if (all && !flag(invocation, "yes")) {
      const question = `Delete all ${names.length} sandboxes of workspace "${gateway.workspace}" (${names.join(", ")})?`
      if (!(yield* confirm(question))) {
        yield* say("Nothing was deleted.")
        return 1
      }
    }
    yield* Effect.forEach(
      names,
      (name) =>
        Effect.gen(function* () {
          const sandbox = yield* gateway.getSandbox(name)
          yield* gateway.deleteSandbox(name)
          if (flag(invocation, "wait")) {
            const { timeoutMs } = invocation.globals
            yield* waitForPhase(gateway, sandbox, { phase: "Deleted", timeoutMs })
          }
          yield* printDeleted(invocation, "sandbox", name)
        }).pipe(attempting(gateway, { action: `delete sandbox "${name}"`, sandbox: name })),
      { concurrency: 8, discard: true },
    )
    return 0
  })
