/** Commands about the gateway itself and the programs that this executable contains. */
import type { Command } from "commander"
import { flagOf, settingNames, settingsTable } from "../../gateway/SettingsTable.ts"
import { durationMs, oneOf, wholeNumber } from "../Arguments.ts"
import type { Invocation } from "../Invocation.ts"
import { lazily, type TreeContext } from "../Tree.ts"
import { addKeyCommands } from "./KeyCommands.ts"

export const addClusterCommands = (program: Command, context: TreeContext): void => {
  const gateway = program.command("gateway").description("look at the gateway cluster, or run a replica")
  gateway
    .command("status")
    .description("show every replica with its load")
    .action(lazily(context, async () => (await import("../commands/GatewayStatus.ts")).gatewayStatus))
  gateway
    .command("members")
    .description("list the replicas and their addresses")
    .option("--no-headers", "without the heading line")
    .action(lazily(context, async () => (await import("../commands/GatewayMembers.ts")).gatewayMembers))
  gateway
    .command("drain")
    .description("move what a replica holds to the others, while it serves on")
    .argument("<name>", "the replica, as `gateway status` names it")
    .option(
      "--deadline <time>",
      "when what cannot move is cut; the replica's own setting without it",
      durationMs,
    )
    .option("--cancel", "end the drain: the replica takes shards and sessions again")
    .option("--wait", "return when nothing is left on it")
    .action(lazily(context, async () => (await import("../commands/GatewayDrain.ts")).gatewayDrain))
  addGatewayRun(gateway, context)
  addConfigCommands(gateway, context)
  addKeyCommands(gateway, context)
  addUp(program, context)
  program
    .command("supervisor")
    .description("run the agent inside a sandbox; its flags and environment are OpenShell's")
    .argument("[command...]", "the main process")
    .allowUnknownOption()
    .action(
      lazily(context, async () => () => context.dependencies.runSupervisor(context.argv.slice(1)), {
        handlesSignals: true,
      }),
    )
  program
    .command("completions")
    .description("print the completion script of a shell")
    .argument("<shell>", "bash, zsh or fish", oneOf("bash", "zsh", "fish"))
    .addHelpText("after", completionsHelp)
    .action(lazily(context, async () => (await import("../commands/Completions.ts")).completions))
  program
    .command("__names", { hidden: true })
    .description("names of sandboxes, providers or workspaces, for completion")
    .argument("[kind]", "sandbox, provider or workspace")
    .action(lazily(context, async () => (await import("../commands/Completions.ts")).completionNames))
  program
    .command("version")
    .description("print the version")
    .action(lazily(context, async () => (await import("../commands/Version.ts")).printVersion))
}

const configHelp = `
Every flag can be set as HOLDFAST_… in the environment and, except secrets, in the configuration file.
Flags win over HOLDFAST_ variables, these over OPENSHELL_ ones, these over the file.`

/** The flags of a replica: one for each setting, and the file. */
const addSettings = (command: Command): Command => {
  command.option(
    "--config <file>",
    "TOML file with settings (HOLDFAST_CONFIG, then OPENSHELL_GATEWAY_CONFIG)",
  )
  for (const name of settingNames) {
    const { value, meaning, fallback } = settingsTable[name]
    command.option(`--${flagOf(name)} <${value}>`, `${meaning} (${fallback})`)
  }
  return command.addHelpText("after", configHelp)
}

/** What was given as flags, by the names of settings. */
const settingFlags = ({ options }: Invocation): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ["config", ...settingNames].flatMap((name): Array<[string, string]> => {
      const value = options[name]
      return typeof value === "string" ? [[name, value]] : []
    }),
  )

const addGatewayRun = (gateway: Command, context: TreeContext): void => {
  addSettings(gateway.command("run").description("run one replica in the foreground")).action(
    lazily(context, async () => (invocation) => context.dependencies.runGateway(settingFlags(invocation)), {
      handlesSignals: true,
    }),
  )
}

const addConfigCommands = (gateway: Command, context: TreeContext): void => {
  const config = gateway.command("config").description("look at the settings of a replica without running it")
  addSettings(
    config.command("check").description("say everything that is wrong with the settings; exit 0 or 2"),
  ).action(
    lazily(context, async () => {
      const { configCheck } = await import("../commands/GatewayConfig.ts")
      return (invocation) => configCheck(invocation, settingFlags(invocation), context.environment)
    }),
  )
  addSettings(
    config
      .command("print")
      .description("show the value of every setting and where it comes from; secrets are hidden")
      .option("--no-headers", "without the heading line"),
  ).action(
    lazily(context, async () => {
      const { configPrint } = await import("../commands/GatewayConfig.ts")
      return (invocation) => configPrint(invocation, settingFlags(invocation), context.environment)
    }),
  )
}

const addUp = (program: Command, context: TreeContext): void => {
  program
    .command("up")
    .description("run a whole cluster on this machine: Postgres, replicas and one address for them")
    .option("--replicas <count>", "replicas to start", wholeNumber(1, 16), 3)
    .option(
      "--port <port>",
      "port of the front door; the ports after it are used too",
      wholeNumber(1, 65_000),
      17_670,
    )
    .option("--state <directory>", "where everything is kept", ".holdfast")
    .option("--once", "show that it works, stop, and exit 0 or 1")
    .option("--sqlite", "one replica on SQLite, without Postgres")
    .option("--json", "print one line of JSON on stdout when ready")
    .action(
      lazily(
        context,
        async () =>
          ({ options }) =>
            context.dependencies.runUp({
              replicas: typeof options.replicas === "number" ? options.replicas : 3,
              port: typeof options.port === "number" ? options.port : 17_670,
              stateDirectory: typeof options.state === "string" ? options.state : ".holdfast",
              once: options.once === true,
              sqlite: options.sqlite === true,
              json: options.json === true,
            }),
        { endsBySignal: true },
      ),
    )
}

const completionsHelp = `
Install:
  bash   holdfast completions bash > ~/.local/share/bash-completion/completions/holdfast
  zsh    holdfast completions zsh > "\${fpath[1]}/_holdfast"
  fish   holdfast completions fish > ~/.config/fish/completions/holdfast.fish`
