/** What shells need to know of the command tree, read from the tree itself. */
import type { Command } from "commander"

export interface OptionOutline {
  readonly long: string
  readonly short: string | undefined
  readonly description: string
  /** Whether a value follows it. */
  readonly takesValue: boolean
  /** The values it allows; empty when any. */
  readonly values: ReadonlyArray<string>
}

export interface CommandOutline {
  /** Names from the root, such as `holdfast sandbox get`. */
  readonly path: string
  readonly name: string
  readonly aliases: ReadonlyArray<string>
  readonly description: string
  readonly options: ReadonlyArray<OptionOutline>
  readonly children: ReadonlyArray<CommandOutline>
  /** What its first operand is. */
  readonly operand: NameKind | "shell" | "other" | "none"
}

/** Names that the gateway knows and completion asks it for. */
export type NameKind = "sandbox" | "provider" | "workspace"

/** The command that prints the names of a kind, quickly and silently; undefined for other operands. */
export const namesCommand = (operand: CommandOutline["operand"]): string | undefined => {
  switch (operand) {
    case "sandbox":
      return "holdfast __names 2>/dev/null"
    case "provider":
    case "workspace":
      return `holdfast __names ${operand} 2>/dev/null`
    default:
      return undefined
  }
}

const outputFormats = ["table", "wide", "json", "name"]

/** Values of options that name a closed set; commander keeps them inside the parsers. */
const valuesOf = (long: string): ReadonlyArray<string> => {
  switch (long) {
    case "--output":
      return outputFormats
    case "--level":
      return ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
    case "--source":
      return ["gateway", "sandbox"]
    default:
      return []
  }
}

const operandOf = (command: Command): CommandOutline["operand"] => {
  const first = command.registeredArguments[0]
  if (first === undefined) return "none"
  if (first.name() === "shell") return "shell"
  if (command.name() === "create") return "other"
  if (first.name() === "provider") return "provider"
  if (first.name() !== "name") return "other"
  switch (command.parent?.name()) {
    case "workspace":
      return "workspace"
    case "gateway":
      return "other"
    default:
      return "sandbox"
  }
}

const optionsOf = (command: Command): ReadonlyArray<OptionOutline> =>
  command
    .createHelp()
    .visibleOptions(command)
    .flatMap((option) =>
      option.long === undefined || option.long === null
        ? []
        : [
            {
              long: option.long,
              short: option.short ?? undefined,
              description: option.description,
              takesValue: option.required || option.optional,
              values: valuesOf(option.long),
            },
          ],
    )

/** Options of a command include those of its parents, as on the command line. */
export const outlineOf = (
  command: Command,
  parentPath = "",
  inherited: ReadonlyArray<OptionOutline> = [],
): CommandOutline => {
  const path = parentPath === "" ? command.name() : `${parentPath} ${command.name()}`
  const own = optionsOf(command)
  const known = new Set(own.map(({ long }) => long))
  const options = [...own, ...inherited.filter(({ long }) => !known.has(long))]
  const shared = options.filter(({ long }) => long !== "--version")
  return {
    path,
    name: command.name(),
    aliases: command.aliases(),
    description: command.description(),
    options,
    children: command
      .createHelp()
      .visibleCommands(command)
      .filter((child) => child.name() !== "help")
      .map((child) => outlineOf(child, path, shared)),
    operand: operandOf(command),
  }
}

/** A command and everything below it. */
export const allCommands = (outline: CommandOutline): ReadonlyArray<CommandOutline> => [
  outline,
  ...outline.children.flatMap(allCommands),
]
