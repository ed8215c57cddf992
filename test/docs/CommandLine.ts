/** The command line, from the tree that parses it. */
import type { Argument, Command, Option } from "commander"
import { buildProgram } from "../../src/cli/Cli.ts"
import { code, page, table } from "./Markdown.ts"

const never = (): never => {
  throw new Error("the reference runs no command")
}

const tree = (): Command =>
  buildProgram(
    { runGateway: never, runSupervisor: never, runUp: never, runDrill: never },
    { argv: [], environment: {} },
  )

const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`

const isHidden = (command: Command): boolean => command.name().startsWith("__") || command.name() === "help"

const descendants = (command: Command): ReadonlyArray<Command> =>
  command.commands.filter((child) => !isHidden(child)).flatMap((child) => [child, ...descendants(child)])

const defaultOf = ({ defaultValue }: Option | Argument): string =>
  typeof defaultValue === "string" || typeof defaultValue === "number" ? String(defaultValue) : ""

const optionsTable = (options: ReadonlyArray<Option>): string =>
  table(
    ["option", "default", "meaning"],
    options
      .filter(({ hidden }) => !hidden)
      .map((option) => [code(option.flags), code(defaultOf(option)), option.description]),
  )

/** What help prints after the options, such as examples. */
const afterwards = (command: Command): string => {
  let text = ""
  command.configureOutput({
    writeOut: (part) => {
      text += part
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  })
  command.outputHelp()
  const rest = text.slice(command.helpInformation().length).trim()
  return rest === "" ? "" : `\`\`\`text\n${rest}\n\`\`\``
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

const section = (command: Command): ReadonlyArray<string> => {
  if (command.commands.length > 0 && command.parent !== null) return []
  const aliases = command.aliases()
  return [
    `## ${pathOf(command)}`,
    `${sentence(command.description())}.${aliases.length === 0 ? "" : ` Also ${aliases.map(code).join(", ")}.`}`,
    `\`\`\`text\n${pathOf(command)} ${command.usage()}\n\`\`\``,
    ...(command.registeredArguments.length === 0
      ? []
      : [
          table(
            ["argument", "default", "meaning"],
            command.registeredArguments.map((argument) => [
              code(argument.name()),
              code(defaultOf(argument)),
              argument.description,
            ]),
          ),
        ]),
    ...(command.options.length === 0 ? [] : [optionsTable(command.options)]),
    afterwards(command),
  ].filter((part) => part !== "")
}

export const commandLinePage = (): string => {
  const program = tree()
  const commands = descendants(program)
  return page(
    "Command line",
    "Every command of `holdfast`, from `src/cli`. The options here stand before or after any command.",
    optionsTable(program.options),
    afterwards(program),
    table(
      ["command", "what it does"],
      commands
        .filter((command) => command.commands.length === 0)
        .map((command) => [code(pathOf(command)), command.description()]),
    ),
    ...commands.flatMap(section),
  )
}
