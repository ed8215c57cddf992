/** Arguments of `bun run interop`. */
import { Failed } from "./Run.ts"

export interface Options {
  readonly json: boolean
  readonly roll: boolean
  /** Part of the names of cases, or a pattern; undefined for all. */
  readonly pattern: RegExp | undefined
  readonly supervisor: "own" | "ref" | undefined
}

export const usage = `bun run interop [--case PATTERN] [--supervisor own|ref] [--roll] [--json]

  OpenShell 0.0.111's own command line, Python SDK and stubs against three replicas.

  --case        cases whose name matches this regular expression
  --supervisor  own: ours; ref: the double of OpenShell's. Both without it
  --roll        restart one replica after the other all the while
  --json        one JSON object on stdout; what people read goes to stderr
`

export const parse = (argv: ReadonlyArray<string>): Options | "help" => {
  let options: Options = { json: false, roll: false, pattern: undefined, supervisor: undefined }
  for (let at = 0; at < argv.length; at += 1) {
    const argument = argv[at]
    const value = argv[at + 1]
    if (argument === "--help" || argument === "-h") return "help"
    if (argument === "--json") options = { ...options, json: true }
    else if (argument === "--roll") options = { ...options, roll: true }
    else if (argument === "--case" && value !== undefined) {
      options = { ...options, pattern: new RegExp(value, "i") }
      at += 1
    } else if (argument === "--supervisor" && (value === "own" || value === "ref")) {
      options = { ...options, supervisor: value }
      at += 1
    } else throw new Failed(`unknown argument '${argument}'`)
  }
  return options
}
