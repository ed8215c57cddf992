/** `holdfast service …`: ports of sandboxes with a URL of their own. */
import type { Command } from "commander"
import { wholeNumber } from "../Arguments.ts"
import { lazily, type TreeContext } from "../Tree.ts"

export const addServiceCommands = (program: Command, context: TreeContext): void => {
  const service = program.command("service").description("ports of sandboxes that are reached by a URL")
  const from = (name: keyof typeof import("../commands/Services.ts")) =>
    lazily(context, async () => (await import("../commands/Services.ts"))[name])
  service
    .command("expose")
    .description("give a port of a sandbox a URL, or a URL another port; print the URL")
    .argument("<name>", "the sandbox")
    .argument("<port>", "where the application listens on the sandbox's loopback", (text: string) =>
      String(wholeNumber(1, 65_535)(text)),
    )
    .argument("[service]", "name of the service; a sandbox has one without")
    .action(from("serviceExpose"))
  service
    .command("get")
    .description("show a service")
    .argument("<name>", "the sandbox")
    .argument("[service]", "name of the service; the one without a name when absent")
    .action(from("serviceGet"))
  service
    .command("list")
    .alias("ls")
    .description("list services")
    .argument("[name]", "only those of this sandbox")
    .option("-A, --all-workspaces", "of every workspace")
    .option("--no-headers", "without the heading line")
    .action(from("serviceList"))
  service
    .command("delete")
    .alias("rm")
    .description("take a service's URL away")
    .argument("<name>", "the sandbox")
    .argument("[service]", "name of the service; the one without a name when absent")
    .action(from("serviceDelete"))
}
