/** Commands that keep a connection into a sandbox open, and what plain ssh needs. */
import type { Command } from "commander"
import { limits } from "../../domain/Limits.ts"
import { durationMs, forwardSpecs, oneOf, repeated, wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"
import { sshProxyAction } from "./SshProxyAction.ts"

export const addSessionCommands = (program: Command, context: TreeContext): void => {
  program
    .command("forward")
    .description("forward local TCP ports to ports on the sandbox's loopback, until Ctrl-C")
    .argument("<name>", "the sandbox")
    .argument(
      "<ports...>",
      "REMOTE, LOCAL:REMOTE, :REMOTE for any free port, or HOST:LOCAL:REMOTE",
      forwardSpecs,
    )
    .option("--address <host>", "local address to listen on", "127.0.0.1")
    .action(
      lazily(context, async () => (await import("../commands/Forward.ts")).forward, { endsBySignal: true }),
    )
  program
    .command("logs")
    .description("show a sandbox's log lines")
    .argument("<name>", "the sandbox")
    .option("-f, --follow", "keep showing new lines until Ctrl-C")
    .option("--tail <lines>", "only the last lines", wholeNumber(1, limits.logLinesPerSandbox))
    .option("--since <duration>", "only lines younger than this, such as 10m", durationMs)
    .option(
      "--level <level>",
      "only lines of this level and above",
      oneOf("ERROR", "WARN", "INFO", "DEBUG", "TRACE"),
    )
    .option("--source <source>", "gateway or sandbox; repeatable", sources)
    .action(lazily(context, async () => (await import("../commands/Logs.ts")).logs))
  program
    .command("ssh-proxy")
    .description("connect stdin and stdout to a sandbox's SSH server (for ssh's ProxyCommand)")
    .argument("<name>", "the sandbox; NAME.holdfast and NAME.WORKSPACE.holdfast are accepted")
    .action(sshProxyAction(context))
  program
    .command("ssh-config")
    .description("print the ssh_config block that lets ssh, scp, rsync and git reach sandboxes")
    .argument("[name]", "one sandbox; every sandbox as NAME.holdfast when absent")
    .option("--write", "install the block in ~/.ssh and include it from ~/.ssh/config")
    .action(lazily(context, async () => (await import("../commands/SshConfig.ts")).sshConfig))
}

const sources = (text: string, previous: ReadonlyArray<string> | undefined): Array<string> =>
  repeated(oneOf("gateway", "sandbox")(text), previous)
