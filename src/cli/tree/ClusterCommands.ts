/** Commands about the gateway itself and the programs that this executable contains. */
import type { Command } from "commander"
import { oneOf, wholeNumber } from "../Arguments.ts"
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
  addGatewayRun(gateway, context)
  addKeyCommands(gateway, context)
  addUp(program, context)
  program
    .command("supervisor")
    .description("run the agent inside a sandbox; its flags and environment are OpenShell's")
    .argument("[command...]", "the main process")
    .allowUnknownOption()
    .action(
      lazily(context, async () => () => context.dependencies.runSupervisor(context.argv.slice(1)), {
        endsBySignal: true,
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
    .description("names of sandboxes, for completion")
    .action(lazily(context, async () => (await import("../commands/Completions.ts")).completionNames))
  program
    .command("version")
    .description("print the version")
    .action(lazily(context, async () => (await import("../commands/Version.ts")).printVersion))
}

/** Flag, value and meaning of each setting; `--name` is `HOLDFAST_NAME` in the environment, and so on. */
const gatewaySettings = [
  ["name", "name", "name of this replica, unique in the cluster"],
  ["cluster-id", "id", "name of the cluster (holdfast)"],
  ["database-url", "url", "postgres://… or sqlite:PATH"],
  ["listen", "host:port", "for clients and supervisors"],
  ["peer-listen", "host:port", "for other replicas"],
  ["peer-advertise", "host:port", "where other replicas reach this one (peer-listen)"],
  ["metrics-listen", "host:port", "for /healthz, /readyz and /metrics"],
  ["peer-ca", "file", "PEM certificate authority of the cluster"],
  ["peer-cert", "file", "PEM certificate of this replica"],
  ["peer-key", "file", "PEM key of this replica"],
  ["jwt-dir", "directory", "signing.pem, public.pem and kid for sandbox tokens"],
  ["gateway-id", "id", "issuer of sandbox tokens (openshell)"],
  ["public-url", "url", "the address people use"],
  ["sandbox-endpoint", "url", "the address supervisors dial (public-url)"],
  ["state-dir", "directory", "where the process driver keeps sandboxes"],
  ["driver", "name", "process"],
  ["log-level", "level", "error, warn, info, debug or trace"],
  ["tls-cert", "file", "PEM certificate of the client listener"],
  ["tls-key", "file", "PEM key of the client listener"],
  ["session-grace-ms", "ms", "how long a sandbox without session stays ready"],
] as const

const addGatewayRun = (gateway: Command, context: TreeContext): void => {
  const run = gateway
    .command("run")
    .description("run one replica in the foreground")
    .addHelpText("after", "\nEvery flag can be set as HOLDFAST_… in the environment; flags win.")
  for (const [flag, value, meaning] of gatewaySettings) run.option(`--${flag} <${value}>`, meaning)
  const names = gatewaySettings.map(([flag]) =>
    flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
  )
  run.action(
    lazily(
      context,
      async () => (invocation) => {
        const given = names.flatMap((name): Array<[string, string]> => {
          const value = invocation.options[name]
          return typeof value === "string" ? [[name, value]] : []
        })
        return context.dependencies.runGateway(Object.fromEntries(given))
      },
      { handlesSignals: true },
    ),
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
