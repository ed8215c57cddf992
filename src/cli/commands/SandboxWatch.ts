import { Clock, Effect, Stream } from "effect"
import { followSandbox } from "../../client/Follow.ts"
import type { WatchEvent } from "../../client/Watch.ts"
import { readyConditionOf } from "../../domain/Sandbox.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { renderEvent, renderLogLine } from "../LogView.ts"
import { flag, numberOption, operand, unlessNegated } from "../Options.ts"
import { colorOn, print, printJsonLine, say } from "../Output.ts"
import { sandboxJson } from "../SandboxView.ts"
import { printable } from "../text/Table.ts"

/** Ends with 0 when the sandbox is gone, or ready with `--until-ready`. */
export const sandboxWatch: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `watch sandbox "${name}"`, sandbox: name }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const json = invocation.globals.output === "json"
    const color = colorOn(process.stdout, invocation.globals.color)
    yield* followSandbox(gateway, sandbox.id, {
      status: true,
      logs: unlessNegated(invocation, "logs"),
      events: unlessNegated(invocation, "events"),
      logTailLines: numberOption(invocation, "tail") ?? 0,
      stopWhenReady: flag(invocation, "untilReady"),
    }).pipe(
      Stream.runForEach((event) =>
        json
          ? printJsonLine(eventJson(event))
          : Effect.flatMap(Clock.currentTimeMillis, (nowMs) => print(render(event, nowMs, color))),
      ),
      attempting(gateway, attempt),
    )
    if (!flag(invocation, "untilReady")) yield* say(`Sandbox "${name}" is gone.`)
    return 0
  })

const eventJson = (event: WatchEvent): unknown => {
  switch (event._tag) {
    case "Status":
      return { kind: "status", sandbox: sandboxJson(event.sandbox) }
    case "Log":
      return { kind: "log", ...event.line }
    case "Event":
      return { kind: "event", ...event.event }
    case "Drafts": {
      const { _tag, ...update } = event
      return { kind: "drafts", ...update }
    }
    case "Warning":
      return { kind: "warning", message: event.message }
  }
}

const render = (event: WatchEvent, nowMs: number, color: boolean): string => {
  switch (event._tag) {
    case "Status": {
      const ready = readyConditionOf(event.sandbox)
      const why = ready === undefined ? "" : ` ${ready.reason} ${ready.message}`
      return `${new Date(nowMs).toISOString()} Phase ${event.sandbox.status.phase}${printable(why).trimEnd()}\n`
    }
    case "Log":
      return renderLogLine(event.line, color)
    case "Event":
      return renderEvent(event.event, color)
    case "Drafts":
      return `${new Date(nowMs).toISOString()} Policy ${printable(event.summary)}\n`
    case "Warning":
      return `${new Date(nowMs).toISOString()} Warning ${printable(event.message)}\n`
  }
}
