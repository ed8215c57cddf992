/** Every value that a replica was given, from the strongest source that gave it. */
import { open } from "node:fs/promises"
import { Effect } from "effect"
import { limits } from "../../domain/Limits.ts"
import { type SettingName, settingNames, variableOf } from "../SettingsTable.ts"
import * as ConfigFile from "./ConfigFile.ts"
import { notesOn } from "./Notes.ts"
import { fromOpenShell } from "./OpenShellVariables.ts"
import type { Given, Problem } from "./Problem.ts"

export type Environment = Readonly<Record<string, string | undefined>>

/** Flags of `gateway run` by the names of settings, and `config`, the path of a file. */
export type Flags = Readonly<Record<string, string>>

export interface Gathered {
  /** The configuration file, if one was named. */
  readonly file: string | undefined
  /** Settings without an entry have their defaults. */
  readonly given: ReadonlyMap<SettingName, Given>
  readonly problems: ReadonlyArray<Problem>
  /** What does no harm and was hardly meant. */
  readonly notes: ReadonlyArray<Problem>
}

/** Variables that name the file, strongest first. */
export const fileVariables = ["HOLDFAST_CONFIG", "OPENSHELL_GATEWAY_CONFIG"] as const

const fileOf = (flags: Flags, environment: Environment): string | undefined =>
  [flags.config, ...fileVariables.map((variable) => environment[variable])].find(
    (path) => path !== undefined && path !== "",
  )

const readText = async (file: string): Promise<string> => {
  const handle = await open(file, "r")
  try {
    const buffer = Buffer.alloc(limits.configFileBytes + 1)
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
    if (bytesRead > limits.configFileBytes) throw new Error(`is larger than ${limits.configFileBytes} bytes`)
    return buffer.toString("utf8", 0, bytesRead)
  } finally {
    await handle.close()
  }
}

const readFile = (file: string): Effect.Effect<ConfigFile.ConfigFile> =>
  Effect.tryPromise({
    try: () => readText(file),
    catch: (cause) => (cause instanceof Error ? cause.message : String(cause)),
  }).pipe(
    Effect.map((text) => ConfigFile.parse(text, file)),
    Effect.catchAll((reason) =>
      Effect.succeed({
        values: new Map<SettingName, Given>(),
        problems: [{ where: file, message: `the configuration file cannot be read: ${reason}` }],
      }),
    ),
  )

const fromEnvironment = (name: SettingName, environment: Environment): Given | undefined => {
  const variable = variableOf(name)
  const value = environment[variable]
  return value === undefined || value === ""
    ? undefined
    : { value, source: { kind: "environment", variable } }
}

/** Flags over `HOLDFAST_*` over `OPENSHELL_*` variables over the file. Never fails: problems are collected. */
export const gather = (flags: Flags, environment: Environment): Effect.Effect<Gathered> =>
  Effect.gen(function* () {
    const file = fileOf(flags, environment)
    const read = file === undefined ? undefined : yield* readFile(file)
    const given = new Map<SettingName, Given>()
    for (const name of settingNames) {
      const flag = flags[name]
      const found: Given | undefined =
        (flag === undefined ? undefined : { value: flag, source: { kind: "flag" } }) ??
        fromEnvironment(name, environment) ??
        fromOpenShell(name, environment) ??
        read?.values.get(name)
      if (found !== undefined) given.set(name, found)
    }
    return { file, given, problems: read?.problems ?? [], notes: notesOn(environment) }
  })
