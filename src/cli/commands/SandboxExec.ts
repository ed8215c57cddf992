import { Effect } from "effect"
import { exec } from "../../client/Exec.ts"
import { usageFailure } from "../Failure.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { flag, mapOption, operand, textOption } from "../Options.ts"
import { onTerminalResize, rawTerminal, terminalSize } from "../terminal/RawTerminal.ts"
import { stallNotice } from "../terminal/StallNotice.ts"

export const sandboxExec: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const { trailing, globals } = invocation
    if (trailing.length === 0) {
      return yield* usageFailure(
        "no command to run",
        `Write it after --: \`holdfast sandbox exec ${name} -- ls -l\`.`,
      )
    }
    const tty = flag(invocation, "tty")
    const withInput = tty || flag(invocation, "stdin")
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `run ${trailing[0]} in sandbox "${name}"`, sandbox: name, transport: true }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const terminal = tty ? yield* rawTerminal : undefined
    const environment = mapOption(invocation, "env")
    const code = yield* exec(
      gateway,
      {
        sandboxId: sandbox.id,
        command: trailing,
        workdir: textOption(invocation, "workdir"),
        environment: tty ? { ...terminalEnvironment(), ...environment } : environment,
        timeoutSeconds: Math.ceil((globals.timeoutMs ?? 0) / 1_000),
        terminal: tty ? terminalSize() : undefined,
      },
      {
        stdin: withInput ? process.stdin : undefined,
        stdout: process.stdout,
        stderr: process.stderr,
        onResize: tty ? onTerminalResize : undefined,
        onStall: stallNotice(),
      },
    ).pipe(attempting(gateway, attempt))
    if (terminal !== undefined) terminal.lost = false
    return code
  })

/** What the remote side has to know about the terminal that it draws on. */
export const terminalEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    ["TERM", "COLORTERM"].flatMap((key): Array<[string, string]> => {
      const value = process.env[key]
      return value === undefined || value === "" ? [] : [[key, value]]
    }),
  )
