/** `holdfast gateway config check` and `print`: the settings of a replica, without running it. */
import { Effect } from "effect"
import { type EffectiveSetting, effective } from "../../gateway/config/Effective.ts"
import type { Environment, Flags } from "../../gateway/config/Gather.ts"
import { lineOf, placeOf } from "../../gateway/config/Problem.ts"
import { inspect } from "../../gateway/GatewaySettings.ts"
import type { CommandEffect, Invocation } from "../Invocation.ts"
import { unlessNegated } from "../Options.ts"
import { print, printJson, printListing, say } from "../Output.ts"

/** The exit code of settings that a replica would refuse: a replica ends with it too. */
const refusedExitCode = 2

const sourceText = ({ name, source }: EffectiveSetting): string =>
  source.kind === "default" ? "default" : placeOf(name, source)

/** One line for each problem on standard output, as a compiler writes them. */
export const configCheck = (invocation: Invocation, flags: Flags, environment: Environment): CommandEffect =>
  Effect.gen(function* () {
    const { file, problems, notes } = yield* inspect(flags, environment)
    const ok = problems.length === 0
    if (invocation.globals.output === "json") yield* printJson({ ok, file: file ?? null, problems, notes })
    else if (ok) yield* print(`${file ?? "the settings"}: ok\n`)
    else yield* print(problems.map((problem) => `${lineOf(problem)}\n`).join(""))
    for (const note of notes) yield* say(`note: ${lineOf(note)}`)
    return ok ? 0 : refusedExitCode
  })

export const configPrint = (invocation: Invocation, flags: Flags, environment: Environment): CommandEffect =>
  Effect.gen(function* () {
    const inspection = yield* inspect(flags, environment)
    yield* printListing(invocation, {
      rows: effective(inspection),
      columns: [
        { heading: "SETTING", value: ({ key }) => key },
        { heading: "VALUE", value: ({ value }) => value },
        { heading: "SOURCE", value: sourceText },
      ],
      json: ({ name, key, value, source }) => ({ name, key, value, source }),
      name: ({ key }) => key,
      empty: "No settings.",
      headings: unlessNegated(invocation, "headers"),
    })
    for (const problem of inspection.problems) yield* say(lineOf(problem))
    return inspection.problems.length === 0 ? 0 : refusedExitCode
  })
