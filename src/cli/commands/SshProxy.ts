/** `holdfast ssh-proxy`: no Effect until something fails. */
import { EndpointProblem, resolveEndpoint } from "../../client/Endpoint.ts"
import { sshProxy } from "../../client/SshProxy.ts"
import type { Invocation } from "../Invocation.ts"
import { parseSshHost } from "../SshNames.ts"
import { stallNotice } from "../terminal/StallNotice.ts"

/** ssh takes any end of its proxy as the end of the connection; 255 is its own code for that. */
const failed = 255

export const runSshProxy = async (invocation: Invocation): Promise<number> => {
  const { globals } = invocation
  const { name, workspace } = parseSshHost(invocation.operands[0] ?? "", globals.workspace)
  const endpoint = resolveEndpoint(globals, process.env)
  if (endpoint instanceof EndpointProblem) {
    process.stderr.write(`error: ${endpoint.what}\n  next: ${endpoint.next}\n`)
    return failed
  }
  // ssh ends its proxy with SIGHUP; ending the input ends the relay, and the token is revoked on the way out.
  const stop = (): void => {
    process.stdin.destroy()
  }
  for (const signal of ["SIGHUP", "SIGTERM", "SIGINT"] as const) process.once(signal, stop)
  try {
    await sshProxy({
      endpoint,
      workspace,
      sandbox: name,
      timeoutMs: globals.timeoutMs,
      input: process.stdin,
      output: process.stdout,
      onStall: stallNotice(),
    })
    return 0
  } catch (cause) {
    process.stderr.write(await explainFailure(cause, name, workspace, endpoint.url))
    return failed
  }
}

const explainFailure = async (
  cause: unknown,
  sandbox: string,
  workspace: string,
  gateway: string,
): Promise<string> => {
  const [{ explain, renderFailure }, { ConnectFailed }, { publicErrorOfUnknown }] = await Promise.all([
    import("../Failure.ts"),
    import("../../client/ConnectFailed.ts"),
    import("../../client/StatusErrors.ts"),
  ])
  const error = cause instanceof ConnectFailed ? cause : publicErrorOfUnknown(cause)
  const failure = explain(error, { action: `reach sandbox "${sandbox}"`, gateway, workspace, sandbox })
  return renderFailure(failure, { color: false, debug: process.env.HOLDFAST_DEBUG === "1" })
}
