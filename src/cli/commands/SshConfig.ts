import { homedir } from "node:os"
import { resolve } from "node:path"
import { Effect } from "effect"
import { fileProblem } from "../../client/transfer/TransferFailed.ts"
import { installed } from "../../domain/Installation.ts"
import { CliFailure } from "../Failure.ts"
import { attempting, openGateway } from "../Gateway.ts"
import { defaultGateway, type Globals, type Implementation } from "../Invocation.ts"
import { flag } from "../Options.ts"
import { print, printJson, say } from "../Output.ts"
import { installSshConfig, renderSshConfig } from "../SshConfigBlock.ts"
import { sshHostOf } from "../SshNames.ts"

/** `bin/holdfast` of this installation. */
const launcher = installed("bin/holdfast")

export const sshConfig: Implementation = (invocation) =>
  Effect.gen(function* () {
    const { globals } = invocation
    const name = invocation.operands[0]
    const gateway = yield* openGateway(invocation)
    if (name !== undefined) {
      const attempt = { action: `make an ssh configuration for sandbox "${name}"`, sandbox: name }
      yield* gateway.getSandbox(name).pipe(attempting(gateway, attempt))
    }
    const block = renderSshConfig({
      launcher,
      flags: flagsOf(globals),
      gateway: gateway.endpoint.url,
      workspace: globals.workspace,
      name,
    })
    const example = sshHostOf(name ?? "NAME", globals.workspace)
    if (!flag(invocation, "write")) {
      yield* globals.output === "json" ? printJson({ block, launcher, host: example }) : print(block)
      return 0
    }
    const installed = yield* Effect.tryPromise({
      try: () => installSshConfig(process.env.HOME ?? homedir(), block),
      catch: (cause) =>
        new CliFailure({
          what: "cannot install the ssh configuration",
          why: fileProblem("unwritable", "~/.ssh", cause).message,
          next: "Run `holdfast ssh-config` and put its output into your ssh configuration yourself.",
          exitCode: 1,
          cause,
        }),
    })
    if (globals.output === "json") yield* printJson({ ...installed, launcher, host: example })
    else {
      yield* say(
        `Wrote ${installed.file}${installed.included ? ` and included it from ${installed.config}` : ""}.`,
      )
      yield* say(`Try \`ssh ${example}\`, \`scp FILE ${example}:\` or \`git clone ${example}:PATH\`.`)
    }
    return 0
  })

/** ssh runs in other directories and with other environments, so everything is spelled out. */
const flagsOf = (globals: Globals): ReadonlyArray<string> => [
  ...(globals.gateway === defaultGateway ? [] : ["--gateway", globals.gateway]),
  ...(globals.workspace === "default" ? [] : ["--workspace", globals.workspace]),
  ...(globals.transport === undefined ? [] : ["--transport", globals.transport]),
  ...(globals.extensions ? [] : ["--no-extensions"]),
  ...fileFlag("--token-file", globals.tokenFile),
  ...fileFlag("--ca", globals.caFile),
  ...fileFlag("--cert", globals.certificateFile),
  ...fileFlag("--key", globals.keyFile),
]

const fileFlag = (name: string, file: string | undefined): ReadonlyArray<string> =>
  file === undefined ? [] : [name, resolve(file)]
