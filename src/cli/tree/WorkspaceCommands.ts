/** `holdfast workspace …`: workspaces and who belongs to them; `holdfast whoami`. */
import type { Command } from "commander"
import { keyValue, labelSelector, oneOf, wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"

export const addWorkspaceCommands = (program: Command, context: TreeContext): void => {
  const workspace = program
    .command("workspace")
    .alias("ws")
    .description("workspaces: who may see and change which sandboxes")
  const from = (name: keyof typeof import("../commands/Workspaces.ts")) =>
    lazily(context, async () => (await import("../commands/Workspaces.ts"))[name])
  workspace
    .command("create")
    .description("create a workspace")
    .argument("<name>", "its name")
    .option("--label <key=value>", "label; repeatable", keyValue("a label"))
    .action(from("workspaceCreate"))
  workspace
    .command("get")
    .description("show a workspace")
    .argument("<name>", "its name")
    .action(from("workspaceGet"))
  workspace
    .command("list")
    .alias("ls")
    .description("list the workspaces that you may see")
    .option("-l, --selector <key=value>", "only those with these labels", labelSelector)
    .option("--limit <count>", "at most this many", wholeNumber(1, 1_000_000))
    .option("--no-headers", "without the heading line")
    .action(from("workspaceList"))
  workspace
    .command("delete")
    .alias("rm")
    .description("delete workspaces that have nothing in them")
    .argument("<name...>", "their names")
    .action(from("workspaceDelete"))
  addMembers(workspace, context)
  program
    .command("whoami")
    .description("show who the gateway takes you for")
    .action(lazily(context, async () => (await import("../commands/Whoami.ts")).whoami))
}

const addMembers = (workspace: Command, context: TreeContext): void => {
  const member = workspace.command("member").description("who belongs to a workspace, and as what")
  const from = (name: keyof typeof import("../commands/WorkspaceMembers.ts")) =>
    lazily(context, async () => (await import("../commands/WorkspaceMembers.ts"))[name])
  member
    .command("add")
    .description("make a user a member of the workspace that --workspace names")
    .argument("<subject>", "the user, by the subject of its credentials (see `holdfast whoami`)")
    .option("--role <role>", "user or admin", oneOf("user", "admin"), "user")
    .action(from("memberAdd"))
  member
    .command("remove")
    .alias("rm")
    .description("end the membership of users")
    .argument("<subject...>", "the users")
    .action(from("memberRemove"))
  member
    .command("list")
    .alias("ls")
    .description("list the members of the workspace that --workspace names")
    .option("--no-headers", "without the heading line")
    .action(from("memberList"))
}
