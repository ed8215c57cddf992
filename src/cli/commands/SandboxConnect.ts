import { Effect } from "effect"
import { exec } from "../../client/Exec.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { mapOption, operand, textOption } from "../Options.ts"
import { onTerminalResize, rawTerminal, terminalSize } from "../terminal/RawTerminal.ts"
import { stallNotice } from "../terminal/StallNotice.ts"
import { terminalEnvironment } from "./SandboxExec.ts"

/** The user's own shell as a login shell; bash where the sandbox names none. */
const loginShell = ["sh", "-c", 'test -x "$SHELL" || SHELL=/bin/bash; exec "$SHELL" -l']

/** Without a terminal the shell reads its commands from stdin, as ssh's does. */
export const sandboxConnect: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `connect to sandbox "${name}"`, sandbox: name, transport: true }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const interactive = process.stdin.isTTY === true
    const terminal = yield* rawTerminal
    const environment = mapOption(invocation, "env")
    const code = yield* exec(
      gateway,
      {
        sandboxId: sandbox.id,
        command: loginShell,
        workdir: textOption(invocation, "workdir"),
        environment: interactive ? { ...terminalEnvironment(), ...environment } : environment,
        terminal: interactive ? terminalSize() : undefined,
      },
      {
        stdin: process.stdin,
        stdout: process.stdout,
        stderr: process.stderr,
        onResize: interactive ? onTerminalResize : undefined,
        onStall: stallNotice(),
      },
    ).pipe(attempting(gateway, attempt))
    terminal.lost = false
    return code
  })
