/** Reference pages that are one table of the source each. */
import { readFileSync } from "node:fs"
import path from "node:path"
import { Effect } from "effect"
import { errorTable } from "../../src/domain/Errors.ts"
import { limitsTable } from "../../src/domain/Limits.ts"
import { statusName } from "../../src/domain/Status.ts"
import {
  fileKeyOf,
  flagOf,
  settingNames,
  settingOf,
  settingsTable,
  variableOf,
} from "../../src/gateway/SettingsTable.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { root } from "../check/Step.ts"
import { code, page, table } from "./Markdown.ts"

/** The comments between the rows of the table are the headings of its parts. */
const limitSections = (): ReadonlyArray<readonly [heading: string, names: ReadonlyArray<string>]> => {
  const sections: Array<readonly [string, Array<string>]> = []
  for (const line of readFileSync(path.join(root, "src/domain/Limits.ts"), "utf8").split("\n")) {
    const heading = /^ {2}\/\/ (.+)$/.exec(line)?.[1]
    if (heading !== undefined) sections.push([heading, []])
    const name = /^ {2}(\w+): \[/.exec(line)?.[1]
    if (name !== undefined) sections.at(-1)?.[1].push(name)
  }
  return sections
}

export const limitsPage = (): string => {
  const rows = new Map(Object.entries(limitsTable))
  const sections = limitSections()
  const listed = new Set(sections.flatMap(([, names]) => names))
  for (const name of rows.keys()) if (!listed.has(name)) throw new Error(`limit ${name} is in no section`)
  return page(
    "Limits",
    "Every limit, timeout and size, from `src/domain/Limits.ts`. None of them is a setting, except where " +
      "[settings](settings.md) names it as a default.",
    ...sections.map(([heading, names]) =>
      [
        `## ${heading}`,
        table(
          ["limit", "value:", "unit", "reason"],
          names.flatMap((name) => {
            const row = rows.get(name)
            return row === undefined ? [] : [[code(name), row[0].toLocaleString("en-US"), row[1], row[2]]]
          }),
        ),
      ].join("\n\n"),
    ),
  )
}

export const errorsPage = (): string =>
  page(
    "Errors",
    "Every public error has one gRPC status and one exit code of the command line, from `src/domain/Errors.ts`.",
    table(
      ["error", "gRPC status", "exit code:", "meaning"],
      Object.entries(errorTable).map(([tag, { status, exitCode, meaning }]) => [
        code(tag),
        `${code(statusName(status))} (${status})`,
        String(exitCode),
        meaning,
      ]),
    ),
    "`sandbox exec`, `sandbox connect` and `ssh` end with the exit code of the remote command, and with 255 when " +
      "their connection fails, as ssh does. A command line that does not parse ends with 2, Ctrl-C with 130.",
  )

export const settingsPage = (): string =>
  page(
    "Settings of a replica",
    "From `src/gateway/SettingsTable.ts`. What `holdfast gateway run` is given wins in this order: its flags, " +
      "`HOLDFAST_` variables, `OPENSHELL_` variables, the configuration file, the default. An empty variable counts " +
      "as none.",
    table(
      ["flag", "environment", "default", "meaning"],
      settingNames.map((name) => {
        const { value, meaning, fallback } = settingsTable[name]
        return [code(`--${flagOf(name)} <${value}>`), code(variableOf(name)), fallback, meaning]
      }),
    ),
    "## Configuration file",
    "`--config FILE`, else `HOLDFAST_CONFIG`, else `OPENSHELL_GATEWAY_CONFIG` names one TOML file; it includes no " +
      "others. `holdfast gateway config check` says everything that is wrong with it, with lines, and " +
      "`holdfast gateway config print` shows what holds and who said so. A key that is not in this table is an " +
      "error. Settings that hold secrets are refused in a file: files are copied, committed and shown.",
    table(
      ["key", "value", "environment", "OpenShell's variables"],
      settingNames.map((name) => {
        const { value, list, secret, openShell } = settingOf(name)
        const takes = secret === true ? "not in a file" : list === true ? `array of ${value}` : value
        return [
          code(fileKeyOf(name).join(".")),
          takes,
          code(variableOf(name)),
          (openShell ?? []).map(code).join(", "),
        ]
      }),
    ),
    "```toml\n" +
      '[holdfast]\nname = "replica-1"\nlisten = ["0.0.0.0:17670"]\nlog_level = "info"\n\n' +
      '[holdfast.peer]\nlisten = "0.0.0.0:17680"\nca = "/etc/holdfast/peer/ca.pem"\n\n' +
      "[holdfast.drain]\nbatch = 50\n```",
  )

export const metricsPage = async (): Promise<string> => {
  const metrics = await Effect.runPromise(Metrics.pipe(Effect.provide(Metrics.layer)))
  const all = metrics.registry.getMetricsAsArray()
  const own = new Set(Object.values(metrics).flatMap((one) => ("name" in one ? [one.name] : [])))
  const labels = (metric: object): string => {
    const names: unknown = Reflect.get(metric, "labelNames")
    return Array.isArray(names) ? names.map((name) => code(String(name))).join(", ") : ""
  }
  return page(
    "Metrics",
    "Served as `/metrics` on the address of `--metrics-listen`, beside `/healthz` and `/readyz`, from " +
      "`src/observe/Metrics.ts`. Labels are few and bounded: never a sandbox, a user or a channel.",
    table(
      ["metric", "type", "labels", "meaning"],
      all
        .filter(({ name }) => own.has(name))
        .map((metric) => [code(metric.name), String(metric.type), labels(metric), metric.help]),
    ),
    "Node's own metrics (memory, CPU, event loop, garbage collection) stand beside them under " +
      "`holdfast_process_` and `holdfast_nodejs_`.",
  )
}
