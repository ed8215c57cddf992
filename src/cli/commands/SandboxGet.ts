import { Clock, Effect } from "effect"
import { findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { print, printJson } from "../Output.ts"
import { describeSandbox, sandboxJson } from "../SandboxView.ts"

/** One sandbox is an object in JSON, several are an array. */
export const sandboxGet: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const found = yield* Effect.forEach(
      invocation.operands,
      (name) =>
        Effect.gen(function* () {
          const sandbox = yield* findSandbox(gateway, name, { action: `get sandbox "${name}"` })
          // Where it runs is an extra that OpenShell gateways do not have.
          const placement = yield* Effect.option(gateway.locateSandbox(sandbox.id))
          return { sandbox, placement: placement._tag === "Some" ? placement.value : undefined }
        }),
      { concurrency: 8 },
    )
    const { output } = invocation.globals
    if (output === "name") yield* print(found.map(({ sandbox }) => `${sandbox.name}\n`).join(""))
    else if (output === "json") {
      const objects = found.map(({ sandbox }) => sandboxJson(sandbox))
      yield* printJson(objects.length === 1 ? objects[0] : objects)
    } else {
      const nowMs = yield* Clock.currentTimeMillis
      const texts = found.map(({ sandbox, placement }) => describeSandbox(sandbox, nowMs, placement))
      yield* print(texts.join("\n"))
    }
    return 0
  })
