import { Clock, Effect, Stream } from "effect"
import { followSandbox } from "../../client/Follow.ts"
import type { LogLine } from "../../domain/Sandbox.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { renderLogLine } from "../LogView.ts"
import { flag, listOption, numberOption, operand, textOption } from "../Options.ts"
import { colorOn, print, printJsonLine } from "../Output.ts"

export const logs: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `read the log of sandbox "${name}"`, sandbox: name }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const color = colorOn(process.stdout, invocation.globals.color)
    const show = (line: LogLine): Effect.Effect<void> =>
      invocation.globals.output === "json" ? printJsonLine(line) : print(renderLogLine(line, color))

    const age = numberOption(invocation, "since")
    const sinceMs = age === undefined ? 0 : (yield* Clock.currentTimeMillis) - age
    const lines = numberOption(invocation, "tail")
    const sources = listOption(invocation, "source")
    const minLevel = textOption(invocation, "level") ?? ""
    const reading = flag(invocation, "follow")
      ? followSandbox(gateway, sandbox.id, {
          logs: true,
          logTailLines: lines ?? 0,
          sinceMs,
          sources,
          minLevel,
        }).pipe(Stream.runForEach((event) => (event._tag === "Log" ? show(event.line) : Effect.void)))
      : Effect.flatMap(gateway.sandboxLogs(sandbox.id, { lines, sinceMs, sources, minLevel }), (found) =>
          Effect.forEach(found, show, { discard: true }),
        )
    yield* reading.pipe(attempting(gateway, attempt))
    return 0
  })
