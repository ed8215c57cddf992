/** `holdfast policy …` and `holdfast settings …`. */
import type { Command } from "commander"
import { keyValue, oneOf, repeated, wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"

export const addPolicyCommands = (program: Command, context: TreeContext): void => {
  const policy = program.command("policy").description("what sandboxes may reach, read and write")
  const from = (name: keyof typeof import("../commands/Policies.ts")) =>
    lazily(context, async () => (await import("../commands/Policies.ts"))[name])
  const forAll = ["--global", "the policy that stands in for every sandbox's"] as const
  const version = wholeNumber(1, 4_294_967_295)
  policy
    .command("get")
    .description("print a policy as YAML, or as JSON with -o json")
    .argument("[name]", "the sandbox")
    .option(...forAll)
    .option("--policy-version <number>", "that version instead of the latest", version)
    .option("--effective", "what is in force, with the rules that providers bring")
    .action(from("policyGet"))
  policy
    .command("set")
    .description("give a sandbox a policy; on one that runs only the network may change, and paths be added")
    .argument("[name]", "the sandbox")
    .requiredOption("--policy <file>", "policy as YAML or JSON; - reads stdin")
    .option(...forAll)
    .option("--annotation <key=value>", "note about where it comes from; repeatable", keyValue("a note"))
    .option("--wait", "until the sandbox has answered for it")
    .action(from("policySet"))
  policy
    .command("update")
    .description("change parts of a sandbox's policy")
    .argument("<name>", "the sandbox")
    .option("--allow <host:port>", "add an endpoint; repeatable", repeated)
    .option("--rule <rule>", "name of the rule for what is added or removed")
    .option("--binary <path>", "program that may use what is added; repeatable", repeated)
    .option("--protocol <name>", "how requests to what is added are read, such as rest")
    .option("--access <kind>", "read-only, read-write or full", oneOf("read-only", "read-write", "full"))
    .option("--allow-request <request>", '"HOST:PORT METHOD PATH" to allow; repeatable', repeated)
    .option("--deny-request <request>", '"HOST:PORT METHOD PATH" to deny; repeatable', repeated)
    .option("--remove-endpoint <host:port>", "remove an endpoint; repeatable", repeated)
    .option("--remove-binary <path>", "remove a program from --rule; repeatable", repeated)
    .option("--remove-rule <rule>", "remove a rule; repeatable", repeated)
    .option("--annotation <key=value>", "note about where it comes from; repeatable", keyValue("a note"))
    .option("--wait", "until the sandbox has answered for it")
    .action(from("policyUpdate"))
  policy
    .command("list")
    .alias("ls")
    .description("list the versions of a policy, newest first")
    .argument("[name]", "the sandbox")
    .option(...forAll)
    .option("--limit <count>", "at most this many", wholeNumber(1, 1_000_000))
    .option("--no-headers", "without the heading line")
    .action(from("policyList"))
  policy
    .command("status")
    .description("show whether a version is in force")
    .argument("[name]", "the sandbox")
    .option(...forAll)
    .option("--policy-version <number>", "that version instead of the latest", version)
    .action(from("policyShowStatus"))
  policy
    .command("delete")
    .description("delete the global policy; every sandbox has its own again")
    .requiredOption("--global", "the only policy that can be deleted")
    .action(from("policyDelete"))
  addDrafts(policy, context)
  addSettings(program, context)
}

const addDrafts = (policy: Command, context: TreeContext): void => {
  const draft = policy.command("draft").description("rules that sandboxes propose for their policies")
  const from = (name: keyof typeof import("../commands/PolicyDrafts.ts")) =>
    lazily(context, async () => (await import("../commands/PolicyDrafts.ts"))[name])
  const one = (verb: string, description: string) =>
    draft
      .command(verb)
      .description(description)
      .argument("<name>", "the sandbox")
      .argument("<chunk>", "id of the proposal")
  draft
    .command("list")
    .alias("ls")
    .description("list proposals")
    .argument("<name>", "the sandbox")
    .option("--status <status>", "only these", oneOf("pending", "approved", "rejected"))
    .option("--no-headers", "without the heading line")
    .action(from("draftList"))
  one("get", "show a proposal").action(from("draftGet"))
  one("approve", "put a proposal into the policy")
    .option("--review-token <token>", "approve only what was shown with this token")
    .action(from("draftApprove"))
  draft
    .command("approve-all")
    .description("put all pending proposals into the policy, as one version")
    .argument("<name>", "the sandbox")
    .option("--include-flagged", "also those with security notes")
    .action(from("draftApproveAll"))
  one("reject", "decide against a proposal")
    .option("--reason <text>", "why, for whoever proposed it")
    .action(from("draftReject"))
  one("edit", "give a pending proposal another rule")
    .requiredOption("--rule <file>", "rule as YAML or JSON; - reads stdin")
    .action(from("draftEdit"))
  one("undo", "take an approved proposal out of the policy again").action(from("draftUndo"))
  draft
    .command("clear")
    .description("give up all pending proposals")
    .argument("<name>", "the sandbox")
    .action(from("draftClear"))
  draft
    .command("history")
    .description("show what became of proposals, oldest first")
    .argument("<name>", "the sandbox")
    .option("--no-headers", "without the heading line")
    .action(from("draftHistory"))
}

const addSettings = (program: Command, context: TreeContext): void => {
  const settings = program.command("settings").description("switches of one sandbox, or of all")
  const from = (name: keyof typeof import("../commands/Settings.ts")) =>
    lazily(context, async () => (await import("../commands/Settings.ts"))[name])
  const sandbox = ["--sandbox <name>", "for this sandbox instead of all"] as const
  settings
    .command("get")
    .alias("list")
    .description("list the settings that are in force in a sandbox, or those of all sandboxes")
    .argument("[name]", "the sandbox")
    .option("--no-headers", "without the heading line")
    .action(from("settingsGet"))
  settings
    .command("set")
    .description("set a setting; one of all sandboxes wins over a sandbox's own")
    .argument("<key>", "the setting")
    .argument("<value>", "its value")
    .option(...sandbox)
    .action(from("settingsSet"))
  settings
    .command("delete")
    .alias("rm")
    .description("unset a setting")
    .argument("<key>", "the setting")
    .option(...sandbox)
    .action(from("settingsDelete"))
}
