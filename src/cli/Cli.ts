/** The command tree of `holdfast`. Declarations only: every implementation is imported when it runs. */
import { Command, CommanderError, Option } from "commander"
import packageJson from "../../package.json" with { type: "json" }
import { durationMs, oneOf } from "./Arguments.ts"
import type { CliDependencies } from "./Dependencies.ts"
import { defaultGateway } from "./Invocation.ts"
import type { TreeContext } from "./Tree.ts"
import { addClusterCommands } from "./tree/ClusterCommands.ts"
import { addDrill } from "./tree/DrillCommand.ts"
import { addPolicyCommands } from "./tree/PolicyCommands.ts"
import { addInferenceCommands, addProviderCommands } from "./tree/ProviderCommands.ts"
import { addSandboxCommands } from "./tree/SandboxCommands.ts"
import { addServiceCommands } from "./tree/ServiceCommands.ts"
import { addSessionCommands } from "./tree/SessionCommands.ts"
import { addWorkspaceCommands } from "./tree/WorkspaceCommands.ts"

export type { CliDependencies, DrillOptions, UpOptions } from "./Dependencies.ts"

export const version: string = packageJson.version

/** Exit code of a command line that does not parse; also INVALID_ARGUMENT's in the error table. */
export const usageExitCode = 2

const environmentHelp = `
Environment:
  HOLDFAST_GATEWAY, OPENSHELL_GATEWAY_ENDPOINT   gateway URL, or several with commas between
  HOLDFAST_WORKSPACE, OPENSHELL_WORKSPACE        workspace when --workspace is absent
  HOLDFAST_TOKEN, HOLDFAST_TOKEN_FILE            bearer token, or a file that holds it
  HOLDFAST_CLIENT_CA, _CERT, _KEY                PEM files for an https gateway
  HOLDFAST_TRANSPORT                             auto, http2 or websocket
  NO_COLOR                                       no colours
  HOLDFAST_DEBUG=1                               stack traces with errors

Exit codes: the remote command's own code for exec, connect and ssh; 255 when their connection fails;
2 usage, 3 no credentials, 4 not allowed, 5 not found, 6 exists, 7 wrong state, 8 concurrent change,
9 limit, 10 gateway not reachable, 11 timed out, 12 not implemented, 13 stream lost, 14 stream given up,
15 stream refused, 1 anything else, 130 on Ctrl-C.`

const addGlobalOptions = (program: Command): Command =>
  program
    .option(
      "--gateway <url>",
      `gateway URL (several with commas between: the next one when one is away), or the name of one stored by OpenShell (${defaultGateway})`,
    )
    .option("-w, --workspace <name>", "workspace (default)")
    .addOption(
      new Option("-o, --output <format>", "what to print on stdout")
        .argParser(oneOf("table", "wide", "json", "name"))
        .default("table"),
    )
    .addOption(
      new Option("--timeout <duration>", "give up after this long, such as 30s or 5m").argParser(durationMs),
    )
    .option("--token-file <file>", "file with the bearer token")
    .option("--ca <file>", "PEM certificate authority of an https gateway")
    .option("--cert <file>", "PEM client certificate")
    .option("--key <file>", "PEM key of the client certificate")
    .addOption(
      new Option(
        "--transport <name>",
        "how to connect: http2, websocket where a network passes nothing else, or auto, which tries both (auto)",
      ).argParser(oneOf("auto", "http2", "websocket")),
    )
    .option(
      "--no-extensions",
      "speak OpenShell's wire and nothing else: streams end with their replica, and no call is made twice",
    )
    .option("--no-color", "no colours")

export interface ProgramOptions {
  /** The arguments after `holdfast`. */
  readonly argv?: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly finish?: (exitCode: number) => void
}

/** The whole tree. Parsing errors and help throw CommanderError; `runCli` turns them into exit codes. */
export const buildProgram = (dependencies: CliDependencies, options: ProgramOptions = {}): Command => {
  const context: TreeContext = {
    dependencies,
    argv: options.argv ?? process.argv.slice(2),
    environment: options.environment ?? process.env,
    finish:
      options.finish ??
      ((exitCode) => {
        process.exitCode = exitCode
      }),
  }
  const program = new Command("holdfast")
    .description("Reach AI-agent sandboxes through any replica of a gateway cluster.")
    .version(`holdfast ${version}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError("Run it with --help to see how it is used.")
    .showSuggestionAfterError(true)
    .exitOverride()
    .addHelpText("after", environmentHelp)
  addGlobalOptions(program)
  addSandboxCommands(program, context)
  addSessionCommands(program, context)
  addServiceCommands(program, context)
  addWorkspaceCommands(program, context)
  addProviderCommands(program, context)
  addInferenceCommands(program, context)
  addPolicyCommands(program, context)
  addClusterCommands(program, context)
  addDrill(program, context)
  return program
}

/** Parses and runs one command line; resolves with its exit code and never rejects. */
export const runCli = async (argv: ReadonlyArray<string>, dependencies: CliDependencies): Promise<number> => {
  let exitCode = 0
  const finish = (code: number): void => {
    exitCode = code
  }
  // The supervisor parses its own flags (they are OpenShell's), and starts without the tree.
  if (argv[0] === "supervisor" && !argv.some((word) => word === "--help" || word === "-h")) {
    const { execute } = await import("./Runtime.ts")
    return execute(await dependencies.runSupervisor(argv.slice(1)), undefined, { handlesSignals: true })
  }
  try {
    await buildProgram(dependencies, { argv, finish }).parseAsync(argv, { from: "user" })
    return exitCode
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    return cause.exitCode === 0 ? 0 : usageExitCode
  }
}
