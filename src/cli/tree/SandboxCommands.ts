/** `holdfast sandbox …`: one object's life, commands in it, files to and from it. */
import { type Command, Option } from "commander"
import { limits } from "../../domain/Limits.ts"
import { keyValue, labelSelector, wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"
import { addSandboxProviderCommands } from "./ProviderCommands.ts"

export const addSandboxCommands = (program: Command, context: TreeContext): void => {
  const sandbox = program.command("sandbox").alias("sb").description("create, use and delete sandboxes")
  addLifecycle(sandbox, context)
  addUse(sandbox, context)
  addFiles(sandbox, context)
  addSandboxProviderCommands(sandbox, context)
}

const addLifecycle = (sandbox: Command, context: TreeContext): void => {
  sandbox
    .command("create")
    .description("create a sandbox and wait until it is ready")
    .argument("[name]", "its name; made up by the gateway when absent")
    .argument("[command...]", "after --: the main process, instead of a login shell")
    .option("--image <image>", "container image, where the driver uses images")
    .option("--env <key=value>", "environment variable; repeatable", keyValue("a variable"))
    .option("--label <key=value>", "label; repeatable", keyValue("a label"))
    .option("--annotation <key=value>", "annotation; repeatable", keyValue("an annotation"))
    .option("--policy <file>", "policy as YAML or JSON; - reads stdin")
    .option("--provider <name>", "provider to attach; repeatable", (text, previous: Array<string> = []) => [
      ...previous,
      text,
    ])
    .option("--tty", "give the main process a terminal")
    .option("--no-tty", "give the main process no terminal")
    .option("--no-wait", "return as soon as the sandbox is accepted")
    .action(
      lazily(context, async () => (await import("../commands/SandboxCreate.ts")).sandboxCreate, {
        trailing: true,
        commandAfter: 1,
      }),
    )
  sandbox
    .command("get")
    .description("show sandboxes in full")
    .argument("<name...>", "their names")
    .action(lazily(context, async () => (await import("../commands/SandboxGet.ts")).sandboxGet))
  sandbox
    .command("list")
    .alias("ls")
    .description("list sandboxes")
    .option("-l, --selector <key=value>", "only those with these labels", labelSelector)
    .option("-A, --all-workspaces", "of every workspace")
    .option("--limit <count>", "at most this many", wholeNumber(1, 1_000_000))
    .option("--no-headers", "without the heading line")
    .action(lazily(context, async () => (await import("../commands/SandboxList.ts")).sandboxList))
  sandbox
    .command("delete")
    .alias("rm")
    .description("delete sandboxes with everything in them")
    .argument("[name...]", "their names")
    .option("--all", "every sandbox of the workspace")
    .option("-y, --yes", "do not ask")
    .option("--wait", "return when they are gone")
    .action(lazily(context, async () => (await import("../commands/SandboxDelete.ts")).sandboxDelete))
  for (const verb of ["stop", "start"] as const) {
    sandbox
      .command(verb)
      .description(verb === "stop" ? "stop sandboxes and keep their files" : "start stopped sandboxes")
      .argument("<name...>", "their names")
      .option("--no-wait", "return as soon as the request is accepted")
      .action(
        lazily(context, async () => {
          const { sandboxStart, sandboxStop } = await import("../commands/SandboxLifecycle.ts")
          return verb === "stop" ? sandboxStop : sandboxStart
        }),
      )
  }
}

const addUse = (sandbox: Command, context: TreeContext): void => {
  sandbox
    .command("exec")
    .description("run a command in a sandbox; ends with its exit code")
    .argument("<name>", "the sandbox")
    .argument("[command...]", "after --: the command and its arguments")
    .option("-i, --stdin", "pass stdin to the command")
    .option("-t, --tty", "give the command a terminal; passes stdin as well")
    .option("--workdir <directory>", "directory to run in")
    .option("--env <key=value>", "environment variable; repeatable", keyValue("a variable"))
    .addHelpText(
      "after",
      "\nWith --timeout the sandbox stops the command after that time and the exit code is 124.",
    )
    .action(
      lazily(context, async () => (await import("../commands/SandboxExec.ts")).sandboxExec, {
        trailing: true,
        commandAfter: 1,
      }),
    )
  sandbox
    .command("connect")
    .description("open a login shell in a sandbox")
    .argument("<name>", "the sandbox")
    .option("--workdir <directory>", "directory to start in")
    .option("--env <key=value>", "environment variable; repeatable", keyValue("a variable"))
    .action(lazily(context, async () => (await import("../commands/SandboxConnect.ts")).sandboxConnect))
  sandbox
    .command("watch")
    .description("follow a sandbox's status, log lines and events until Ctrl-C")
    .argument("<name>", "the sandbox")
    .option("--no-logs", "without log lines")
    .option("--no-events", "without events")
    .option("--tail <lines>", "log lines to show first", wholeNumber(1, limits.logLinesPerSandbox))
    .option("--until-ready", "end when the sandbox is ready")
    .action(lazily(context, async () => (await import("../commands/SandboxWatch.ts")).sandboxWatch))
}

const addFiles = (sandbox: Command, context: TreeContext): void => {
  const quiet = new Option("-q, --quiet", "no progress bar")
  sandbox
    .command("upload")
    .description("copy a file or a directory into a sandbox")
    .argument("<name>", "the sandbox")
    .argument("<local>", "file or directory here")
    .argument("[remote]", "where to put it; the sandbox's home directory when absent")
    .option("--git-ignore", "leave out what .gitignore files name")
    .addOption(quiet)
    .addHelpText("after", copyHelp)
    .action(lazily(context, async () => (await import("../commands/SandboxUpload.ts")).sandboxUpload))
  sandbox
    .command("download")
    .description("copy a file or a directory out of a sandbox")
    .argument("<name>", "the sandbox")
    .argument("<remote>", "file or directory there")
    .argument("[local]", "where to put it; the current directory when absent")
    .addOption(quiet)
    .addHelpText("after", copyHelp)
    .action(lazily(context, async () => (await import("../commands/SandboxDownload.ts")).sandboxDownload))
}

const copyHelp = `
As with cp: a target that is a directory, or ends in a slash, receives the source under its own name; any
other target is the new name. Nothing appears under the target's name before all of it has arrived and its
SHA-256 sums agree. A directory is merged into an existing one.`
