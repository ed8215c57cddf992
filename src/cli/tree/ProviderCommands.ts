/** `holdfast provider …`, `holdfast sandbox provider …` and `holdfast inference …`. */
import type { Command } from "commander"
import { keyValue, repeated, wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"

const credentialHelp = `
A credential comes from the environment (--credential KEY), from a file (--credential-file KEY=FILE) or from stdin
(--credential-file KEY=-). --credential KEY=VALUE works too, but whoever lists processes sees it.`

const withFields = (command: Command): Command =>
  command
    .option(
      "--credential <key>",
      "credential, its value from the variable of that name; repeatable",
      repeated,
    )
    .option(
      "--credential-file <key=file>",
      "credential, its value from a file; repeatable",
      keyValue("a credential"),
    )
    .option("--expires <key=time>", "when a credential ends, such as KEY=2027-01-31", keyValue("an expiry"))
    .option("--config <key=value>", "configuration, shown to everyone; repeatable", keyValue("an entry"))
    .option("--label <key=value>", "label; repeatable", keyValue("a label"))
    .addHelpText("after", credentialHelp)

export const addProviderCommands = (program: Command, context: TreeContext): void => {
  const provider = program.command("provider").description("credentials that sandboxes are given by name")
  const from = (name: keyof typeof import("../commands/Providers.ts")) =>
    lazily(context, async () => (await import("../commands/Providers.ts"))[name])
  withFields(
    provider
      .command("create")
      .description("store credentials; they are encrypted, and never shown again")
      .argument("[provider]", "its name; made up by the gateway when absent")
      .requiredOption("--type <type>", "a profile (see `holdfast provider profiles`) or a word of your own")
      .option("--from-env", "take what the environment has of the profile's variables"),
  ).action(from("providerCreate"))
  provider
    .command("get")
    .description("show a provider")
    .argument("<provider>", "its name")
    .action(from("providerGet"))
  provider
    .command("list")
    .alias("ls")
    .description("list providers")
    .option("-A, --all-workspaces", "of every workspace")
    .option("--limit <count>", "at most this many", wholeNumber(1, 1_000_000))
    .option("--no-headers", "without the heading line")
    .action(from("providerList"))
  withFields(
    provider
      .command("update")
      .description("replace some credentials and configuration; the rest stays")
      .argument("<provider>", "its name")
      .option("--remove-credential <key>", "credential to forget; repeatable", repeated)
      .option(
        "--if-version <version>",
        "only if it is still this version",
        wholeNumber(1, Number.MAX_SAFE_INTEGER),
      ),
  ).action(from("providerUpdate"))
  provider
    .command("delete")
    .alias("rm")
    .description("delete providers that no sandbox has")
    .argument("<provider...>", "their names")
    .action(from("providerDelete"))
  provider
    .command("profiles")
    .description("list the kinds of provider that the gateway knows")
    .option("--no-headers", "without the heading line")
    .action(
      lazily(context, async () => (await import("../commands/ProviderProfiles.ts")).providerProfileList),
    )
}

export const addSandboxProviderCommands = (sandbox: Command, context: TreeContext): void => {
  const provider = sandbox.command("provider").description("the providers of a sandbox")
  const from = (name: keyof typeof import("../commands/SandboxProviders.ts")) =>
    lazily(context, async () => (await import("../commands/SandboxProviders.ts"))[name])
  provider
    .command("list")
    .alias("ls")
    .description("list the providers of a sandbox")
    .argument("<name>", "the sandbox")
    .option("--no-headers", "without the heading line")
    .action(from("sandboxProviderList"))
  provider
    .command("attach")
    .description("give a sandbox the credentials of providers")
    .argument("<name>", "the sandbox")
    .argument("<provider...>", "the providers")
    .action(from("sandboxProviderAttach"))
  provider
    .command("detach")
    .description("take the credentials of providers from a sandbox")
    .argument("<name>", "the sandbox")
    .argument("<provider...>", "the providers")
    .action(from("sandboxProviderDetach"))
}

export const addInferenceCommands = (program: Command, context: TreeContext): void => {
  const inference = program
    .command("inference")
    .description("the model that sandboxes of a workspace reach as inference.local")
  const from = (name: keyof typeof import("../commands/Inference.ts")) =>
    lazily(context, async () => (await import("../commands/Inference.ts"))[name])
  const system = "the route of the sandboxes' own supervisors instead"
  inference
    .command("set")
    .description("route inference to a model of a provider")
    .requiredOption("--provider <name>", "a provider whose profile serves inference")
    .requiredOption("--model <id>", "the model, as the provider names it")
    .option(
      "--request-timeout <seconds>",
      "for one request; the supervisor's own without it",
      wholeNumber(1, 86_400),
    )
    .option("--system", system)
    .option("--no-verify", "do not ask the endpoint whether it takes the key")
    .action(from("inferenceSet"))
  inference
    .command("get")
    .description("show where inference goes")
    .option("--system", system)
    .action(from("inferenceGet"))
  inference
    .command("delete")
    .alias("rm")
    .description("end a route")
    .option("--system", system)
    .action(from("inferenceDelete"))
}
