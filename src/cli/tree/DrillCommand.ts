/** `holdfast drill`: failure scenarios under load. */
import type { Command } from "commander"
import { durationMs, oneOf, wholeNumber } from "../Arguments.ts"
import { type DrillOptions, drillWires } from "../Dependencies.ts"
import type { Invocation } from "../Invocation.ts"
import { flag, numberOption, operand, textOption } from "../Options.ts"
import { lazily, type TreeContext } from "../Tree.ts"

const ways = ["namespace", "proxy"] as const

const optionsOf = (invocation: Invocation): DrillOptions => ({
  scenario: operand(invocation, 0),
  local: flag(invocation, "local"),
  stateDirectory: textOption(invocation, "state") ?? ".holdfast",
  streams: numberOption(invocation, "streams"),
  sandboxes: numberOption(invocation, "sandboxes"),
  idle: numberOption(invocation, "idle") ?? 0,
  wire: drillWires.find((wire) => wire === textOption(invocation, "wire")) ?? "holdfast",
  tls: flag(invocation, "tls"),
  quick: flag(invocation, "quick"),
  json: flag(invocation, "json") || invocation.globals.output === "json",
  seed: numberOption(invocation, "seed"),
  forMs: numberOption(invocation, "for") ?? 60_000,
  by: ways.find((way) => way === textOption(invocation, "by")),
  globals: invocation.globals,
})

export const addDrill = (program: Command, context: TreeContext): void => {
  program
    .command("drill")
    .description("play a failure scenario under load, and say what clients noticed")
    .argument("<scenario>", "see below", oneOf(...scenarios.map(([name]) => name)))
    .option("--local", "on a cluster of its own, started and deleted by the drill")
    .option("--state <directory>", "of the `holdfast up` whose cluster is used", ".holdfast")
    .option("--streams <count>", "streams of all kinds (24, with --quick 12)", wholeNumber(1, 2_000))
    .option(
      "--sandboxes <count>",
      "sandboxes to spread them over (3, or a twelfth of the streams)",
      wholeNumber(1, 200),
    )
    .option(
      "--idle <count>",
      "sessions that nobody uses, besides; with --local (storm, density: 10000, with --quick 500)",
      wholeNumber(0, 20_000),
      0,
    )
    .option(
      "--wire <name>",
      "openshell: supervisors and clients without our extensions; roll and kills, with --local",
      oneOf(...drillWires),
      "holdfast",
    )
    .option("--tls", "clients and supervisors connect by TLS; with --local")
    .option("--quick", "shorter faults and less load: below 45 s with the cluster's start")
    .option("--json", "print one JSON object for each scenario")
    .option("--seed <number>", "of the streams' content, to repeat a run", wholeNumber(0, 2 ** 31 - 1))
    .option("--for <duration>", "how long `watch` lasts", durationMs, 60_000)
    .option(
      "--by <way>",
      "how links are cut: namespace drops packets (root), proxy holds them up; as well as possible when absent",
      oneOf(...ways),
    )
    .addHelpText("after", help)
    .action(lazily(context, async () => (invocation) => context.dependencies.runDrill(optionsOf(invocation))))
}

/** Their order is that of `all`. */
const scenarios = [
  ["roll", "replace all replicas one after another: SIGTERM, wait for the end, start, wait until ready"],
  ["kill-owner", "kill -9 of a replica that owns sandboxes"],
  ["kill-holder", "kill -9 of the replica that holds most sessions"],
  ["kill-both", "kill -9 of an owner and of another replica at once"],
  ["freeze", "SIGSTOP for 30 s (--quick 14 s), SIGCONT"],
  ["partition", "cut one replica off from the others and from Postgres, both ways and one way"],
  ["scale", "1, 3, 5, 2, 1 replicas"],
  ["db-restart", "restart Postgres"],
  ["db-away", "Postgres is away for 60 s (--quick 8 s)"],
  ["storm", "one replica holds all sessions and is lost (--local; otherwise the one that holds most)"],
  ["density", "what idle sessions cost the replica that holds them (--local)"],
  ["watch", "no fault of its own: load and figures while you cause one"],
  ["all", "all but watch, in this order"],
] as const

const help = `
Scenarios:
${scenarios.map(([name, text]) => `  ${name.padEnd(12)} ${text}`).join("\n")}

Exit codes: 0 all thresholds met, 1 missed (the last lines say which), 75 not possible on this machine.`
