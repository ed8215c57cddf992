import { Effect } from "effect"
import { waitForPhase } from "../../client/Watch.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { unlessNegated } from "../Options.ts"
import { printJsonLine, printOutcome, say } from "../Output.ts"
import { sandboxJson } from "../SandboxView.ts"
import { phaseProgress } from "../terminal/PhaseProgress.ts"

const change =
  (verb: "stop" | "start"): Implementation =>
  (invocation) =>
    Effect.gen(function* () {
      const gateway = yield* openGateway(invocation)
      const phase = verb === "stop" ? "Stopped" : "Ready"
      yield* Effect.forEach(
        [...new Set(invocation.operands)],
        (name) =>
          Effect.gen(function* () {
            const accepted = yield* verb === "stop" ? gateway.stopSandbox(name) : gateway.startSandbox(name)
            const wait = unlessNegated(invocation, "wait") && accepted.status.phase !== phase
            const result = wait
              ? yield* Effect.scoped(
                  Effect.gen(function* () {
                    const onEvent = yield* phaseProgress(name, invocation)
                    const { timeoutMs } = invocation.globals
                    return yield* waitForPhase(gateway, accepted, { phase, timeoutMs, onEvent })
                  }),
                )
              : accepted
            yield* report(invocation, result)
          }).pipe(attempting(gateway, { action: `${verb} sandbox "${name}"`, sandbox: name })),
        { concurrency: 8, discard: true },
      )
      return 0
    })

const report = (invocation: Invocation, sandbox: Sandbox): Effect.Effect<void> => {
  const told = say(`Sandbox "${sandbox.name}" is ${sandbox.status.phase}.`)
  return printOutcome(invocation, { json: sandboxJson(sandbox), name: sandbox.name, told }, printJsonLine)
}

export const sandboxStop = change("stop")
export const sandboxStart = change("start")
