import { Effect } from "effect"
import { waitForPhase } from "../../client/Watch.ts"
import { limits } from "../../domain/Limits.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { listOption, mapOption, textOption, unlessNegated } from "../Options.ts"
import { print, printJson, say } from "../Output.ts"
import { readPolicy } from "../PolicyFile.ts"
import { sandboxJson } from "../SandboxView.ts"
import { phaseProgress } from "../terminal/PhaseProgress.ts"

export const sandboxCreate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const name = invocation.operands[0] ?? ""
    const policyFile = textOption(invocation, "policy")
    const policy = policyFile === undefined ? undefined : yield* readPolicy(policyFile)
    const image = textOption(invocation, "image")
    const tty = invocation.options.tty
    const label = name === "" ? "a sandbox" : `sandbox "${name}"`
    const created = yield* gateway
      .createSandbox({
        name,
        labels: { ...mapOption(invocation, "label") },
        annotations: { ...mapOption(invocation, "annotation") },
        spec: {
          environment: { ...mapOption(invocation, "env") },
          providers: [...listOption(invocation, "provider")],
          command: [...invocation.trailing],
          // The gateway gives its default login shell a terminal; a command gets one only when asked.
          tty: typeof tty === "boolean" ? tty : invocation.trailing.length === 0,
          ...(image === undefined ? {} : { template: { image } }),
          ...(policy === undefined ? {} : { policy }),
        },
      })
      .pipe(attempting(gateway, { action: `create ${label}` }))
    const sandbox = unlessNegated(invocation, "wait")
      ? yield* Effect.scoped(
          Effect.gen(function* () {
            const onEvent = yield* phaseProgress(created.name, invocation)
            const { timeoutMs } = invocation.globals
            return yield* waitForPhase(gateway, created, {
              phase: "Ready",
              timeoutMs,
              eventTail: limits.eventsPerSandbox,
              onEvent,
            })
          }),
        ).pipe(
          attempting(gateway, {
            action: `wait for sandbox "${created.name}" to be ready (it was created and still exists)`,
            sandbox: created.name,
          }),
        )
      : created
    const { output } = invocation.globals
    if (output === "json") yield* printJson(sandboxJson(sandbox))
    else {
      yield* print(`${sandbox.name}\n`)
      if (output !== "name") yield* say(nextSteps(sandbox.name, invocation))
    }
    return 0
  })

const nextSteps = (name: string, invocation: Invocation): string =>
  unlessNegated(invocation, "wait")
    ? `Ready. Try \`holdfast sandbox connect ${name}\` or \`holdfast sandbox exec ${name} -- uname -a\`.`
    : `Accepted. \`holdfast sandbox watch ${name}\` follows it.`
