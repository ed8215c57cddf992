import { readFile } from "node:fs/promises"
import { text } from "node:stream/consumers"
import { Effect } from "effect"
import { parse } from "yaml"
import { waitForPhase } from "../../client/Watch.ts"
import { limits } from "../../domain/Limits.ts"
import type { SandboxPolicy } from "../../domain/Policy.ts"
import { policyOfTree } from "../../wire/openshell-v1/PolicyMessages.ts"
import { CliFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import type { Implementation, Invocation } from "../Invocation.ts"
import { listOption, mapOption, textOption, unlessNegated } from "../Options.ts"
import { print, printJson, say } from "../Output.ts"
import { sandboxJson } from "../SandboxView.ts"
import { phaseProgress } from "../terminal/PhaseProgress.ts"

export const sandboxCreate: Implementation = (invocation) =>
  Effect.gen(function* () {
    const gateway = yield* openGateway(invocation)
    const name = invocation.operands[0] ?? ""
    const policy = yield* policyOf(textOption(invocation, "policy"))
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

/** The wire's field names, in camel case or as in OpenShell's policy files in snake case. */
const policyOf = (file: string | undefined): Effect.Effect<SandboxPolicy | undefined, CliFailure> => {
  if (file === undefined) return Effect.succeed(undefined)
  return Effect.tryPromise({
    try: async () => {
      const source = file === "-" ? await text(process.stdin) : await readFile(file, "utf8")
      return policyOfTree(parse(source))
    },
    catch: (cause) =>
      new CliFailure({
        what: `cannot use the policy in ${file}`,
        why: cause instanceof Error ? cause.message : String(cause),
        next: "Write it as YAML or JSON with the fields of openshell.sandbox.v1.SandboxPolicy.",
        exitCode: 2,
        cause,
      }),
  })
}
