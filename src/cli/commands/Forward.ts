import { Effect } from "effect"
import { untilGone } from "../../client/Follow.ts"
import { type Forwarding, type ListenFailed, forward as openForward } from "../../client/Forward.ts"
import { errorTable } from "../../domain/Errors.ts"
import type { ForwardSpec } from "../Arguments.ts"
import { parseForwardSpec } from "../Arguments.ts"
import { CliFailure, explain, renderFailure } from "../Failure.ts"
import { attempting, findSandbox, openGateway } from "../Gateway.ts"
import type { Implementation } from "../Invocation.ts"
import { operand, textOption } from "../Options.ts"
import { colorOn, print, printJson, say } from "../Output.ts"
import { stallNotice } from "../terminal/StallNotice.ts"

export const forward: Implementation = (invocation) =>
  Effect.gen(function* () {
    const name = operand(invocation, 0)
    const specs = invocation.operands.slice(1).flatMap((text) => parseForwardSpec(text) ?? [])
    const gateway = yield* openGateway(invocation)
    const attempt = { action: `forward to sandbox "${name}"`, sandbox: name }
    const sandbox = yield* findSandbox(gateway, name, attempt)
    const color = colorOn(process.stderr, invocation.globals.color)
    const fallbackHost = textOption(invocation, "address") ?? "127.0.0.1"
    const onStall = stallNotice()
    const open = (spec: ForwardSpec) =>
      openForward(gateway, {
        sandbox,
        host: spec.host ?? fallbackHost,
        port: spec.localPort,
        remotePort: spec.remotePort,
        onStall,
        onError: (error) => {
          const failure = explain(error, {
            action: `forward a connection to ${name}:${spec.remotePort}`,
            gateway: gateway.endpoint.url,
            workspace: gateway.workspace,
            sandbox: name,
          })
          process.stderr.write(renderFailure(failure, { color, debug: false }))
        },
      }).pipe(Effect.mapError(listenFailure))
    const opened = yield* Effect.forEach(specs, open)
    const shown = opened.map((forwarding) => ({
      ...forwarding,
      address: addressOf(forwarding),
      sandbox: name,
    }))
    if (invocation.globals.output === "json") yield* printJson(shown)
    else if (invocation.globals.output === "name") {
      yield* print(shown.map(({ address }) => `${address}\n`).join(""))
    } else {
      yield* print(
        shown.map(({ address, remotePort }) => `Forwarding ${address} -> ${name}:${remotePort}\n`).join(""),
      )
      yield* say("Press Ctrl-C to stop.")
    }
    yield* untilGone(gateway, sandbox).pipe(attempting(gateway, attempt))
    return yield* new CliFailure({
      what: `cannot go on forwarding to sandbox "${name}"`,
      why: "the sandbox was deleted",
      exitCode: errorTable.NotFound.exitCode,
    })
  })

const addressOf = ({ host, port }: Forwarding): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

const listenFailure = (error: ListenFailed): CliFailure => {
  const words: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there",
    EACCES: "ports below 1024 need privileges",
    EADDRNOTAVAIL: "this machine does not have that address",
  }
  return new CliFailure({
    what: `cannot listen on ${error.host}:${error.port}`,
    why: words[error.code] ?? error.code,
    next: "Choose another local port as LOCAL:REMOTE, or :REMOTE for any free one.",
    exitCode: 1,
    cause: error,
  })
}
