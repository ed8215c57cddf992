/** The configuration file: TOML, read with the line of every value, judged by the table of settings. Pure. */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser"
import { nearest } from "../../domain/Nearest.ts"
import { fileKeyOf, flagOf, type SettingName, settingNames, settingOf, variableOf } from "../SettingsTable.ts"
import type { Given, Problem } from "./Problem.ts"

export interface ConfigFile {
  readonly values: ReadonlyMap<SettingName, Given>
  readonly problems: ReadonlyArray<Problem>
}

/** A key of the file with everything above it, and what it is set to. */
interface Entry {
  readonly path: ReadonlyArray<string>
  readonly line: number
  readonly value: AST.TOMLContentNode
}

const settingAt: ReadonlyMap<string, SettingName> = new Map(
  settingNames.map((name) => [fileKeyOf(name).join("."), name]),
)

/** `holdfast`, `holdfast.peer`, … */
const tables: ReadonlySet<string> = new Set(
  settingNames.map((name) => fileKeyOf(name).slice(0, -1).join(".")),
)

const partOf = (key: AST.TOMLBare | AST.TOMLQuoted): string =>
  key.type === "TOMLBare" ? key.name : String(key.value)

/** A table in braces is the same as a table of its own. */
const entriesOf = (above: ReadonlyArray<string>, pair: AST.TOMLKeyValue): ReadonlyArray<Entry> => {
  const path = [...above, ...pair.key.keys.map(partOf)]
  const { value } = pair
  return value.type === "TOMLInlineTable"
    ? value.body.flatMap((inner) => entriesOf(path, inner))
    : [{ path, line: pair.loc.start.line, value }]
}

/** Names for comparison: how words are joined, and which table they stand in, is what people mistake. */
const plain = (path: ReadonlyArray<string>): string =>
  path
    .filter((part, index) => index > 0 || part !== "holdfast")
    .join("_")
    .replaceAll(/[-.\s]/g, "_")
    .replaceAll(/[a-z](?=[A-Z])/g, "$&_")
    .toLowerCase()

const known: ReadonlyMap<string, string> = new Map(
  settingNames.map((name) => [plain(fileKeyOf(name)), fileKeyOf(name).join(".")]),
)

const unknownKey = (path: ReadonlyArray<string>): string => {
  const meant = known.get(nearest(plain(path), known.keys()) ?? "")
  return `unknown key '${path.join(".")}'${meant === undefined ? "" : `; did you mean '${meant}'?`}`
}

const unknownTable = (path: ReadonlyArray<string>): string => {
  if (path[0] === "openshell")
    return "this table is OpenShell's; the settings of Holdfast stand in [holdfast]"
  const candidates = new Map([...tables].map((table) => [plain(table.split(".")) || table, table]))
  const meant = candidates.get(nearest(plain(path), candidates.keys()) ?? "")
  return `unknown table [${path.join(".")}]${meant === undefined ? "" : `; did you mean [${meant}]?`}`
}

const scalarText = (node: AST.TOMLContentNode): string | undefined => {
  if (node.type !== "TOMLValue") return undefined
  switch (node.kind) {
    case "string":
    case "boolean":
      return String(node.value)
    case "integer":
      return node.bigint.toString()
    default:
      return undefined
  }
}

/** The text that an environment variable would hold, or why there is none. */
const textOf = (name: SettingName, node: AST.TOMLContentNode): { text: string } | { message: string } => {
  const { list, secret, value } = settingOf(name)
  const key = fileKeyOf(name).join(".")
  if (secret === true) return { message: secretMessage(name) }
  if (node.type === "TOMLArray" && list === true) {
    const parts = node.elements.map(scalarText)
    if (parts.some((part) => part === undefined || part === "" || part.includes(",")))
      return { message: `${key} takes an array of texts, none of them empty or with a comma` }
    return parts.length === 0 ? { message: `${key} is empty: leave it out` } : { text: parts.join(",") }
  }
  const text = scalarText(node)
  if (text === undefined)
    return { message: `${key} takes ${list === true ? "an array of texts" : "one value"} (${value})` }
  return text === "" ? { message: `${key} is empty: leave it out` } : { text }
}

const secretMessage = (name: SettingName): string =>
  `${fileKeyOf(name).join(".")} is a secret, and files are copied and shown: set ${variableOf(name)} or --${flagOf(name)} instead`

/** `file` is how problems name it. A text that is not TOML has one problem: the first place that is not. */
export const parse = (text: string, file: string): ConfigFile => {
  const values = new Map<SettingName, Given>()
  const problems: Array<Problem> = []
  const refuse = (line: number, message: string): void => {
    problems.push({ where: `${file}:${line}`, message })
  }
  let program: AST.TOMLProgram
  try {
    program = parseTOML(text, { tomlVersion: "1.0" })
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause
    return {
      values,
      problems: [{ where: `${file}:${cause.lineNumber}:${cause.column + 1}`, message: cause.message }],
    }
  }
  const accept = ({ path, line, value }: Entry): void => {
    const name = settingAt.get(path.join("."))
    const read = name === undefined ? { message: unknownKey(path) } : textOf(name, value)
    if ("message" in read) refuse(line, read.message)
    else if (name !== undefined) values.set(name, { value: read.text, source: { kind: "file", file, line } })
  }
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") {
      entriesOf([], node).forEach(accept)
      continue
    }
    const path = node.resolvedKey.map(String)
    const { line } = node.loc.start
    const inside = path.filter((part) => !/^\d+$/.test(part))
    if (!tables.has(inside.join("."))) refuse(line, unknownTable(inside))
    else if (node.kind === "array")
      refuse(line, `[[${inside.join(".")}]]: a table of settings stands once, as [${inside.join(".")}]`)
    else for (const pair of node.body) entriesOf(path, pair).forEach(accept)
  }
  return { values, problems }
}
