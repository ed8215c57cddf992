/** `ssh-proxy` runs once per ssh, scp and git command, so its path loads neither Effect nor the whole wire. */

import { invocationOf } from "../Invocation.ts"
import { commandOf, type TreeContext } from "../Tree.ts"

export const sshProxyAction =
  (context: TreeContext) =>
  async (...parameters: ReadonlyArray<unknown>): Promise<void> => {
    const invocation = invocationOf(commandOf(parameters), context.argv, context.environment)
    const { runSshProxy } = await import("../commands/SshProxy.ts")
    context.finish(await runSshProxy(invocation))
  }
