/** Arguments of `bun run bench`. */
import { BenchError } from "./BenchError.ts"

export const groups = ["open", "roundtrip", "bulk", "failover", "control"] as const
export type Group = (typeof groups)[number]

export interface Sizes {
  readonly openRounds: number
  readonly opensPerRound: number
  readonly roundTripRounds: number
  readonly roundTripsPerRound: number
  readonly bulkRounds: number
  readonly bulkBytes: number
  readonly kills: number
  readonly execs: number
  readonly controlRounds: number
  readonly controlSeconds: number
  readonly controlSandboxes: number
  /** How long idle watchers are looked at. */
  readonly watchSeconds: number
  /** No further round of a row, and no further kill, begins after this; one round always runs. */
  readonly rowMs: number
  readonly failoverMs: number
}

export interface Options {
  readonly json: boolean
  readonly quick: boolean
  readonly only: ReadonlyArray<Group>
  /** Of the replicas, to compare. */
  readonly nodeFlags: ReadonlyArray<string>
  /** Directory for CPU profiles of the replicas. */
  readonly profile: string | undefined
  /** Leave the state directory with its logs behind. */
  readonly keep: boolean
  /** In place of the usual number. */
  readonly kills: number | undefined
  readonly sizes: Sizes
}

export const usage = `bun run bench [--quick] [--json] [--only ${groups.join("|")}[,…]] [--kills N]
              [--node-flags FLAGS] [--profile DIR] [--keep]

  --quick     fewer rounds, kills and bytes: under 40 s in all
  --json      one JSON object on stdout; what people read goes to stderr
  --only      these groups of rows only
  --kills     how often each kind of replica is killed
  --node-flags  flags of Node for the replicas, separated by spaces
  --profile   the replicas write CPU profiles to this directory when they stop
  --keep      leave the state directory with the logs of replicas and supervisors behind
`

const mebi = 1_048_576

const full: Sizes = {
  openRounds: 10,
  opensPerRound: 100,
  roundTripRounds: 10,
  roundTripsPerRound: 2_000,
  bulkRounds: 9,
  bulkBytes: 256 * mebi,
  kills: 20,
  execs: 40,
  controlRounds: 5,
  controlSeconds: 5,
  controlSandboxes: 1_000,
  watchSeconds: 20,
  rowMs: 120_000,
  failoverMs: 900_000,
}

const quick: Sizes = {
  openRounds: 3,
  opensPerRound: 40,
  roundTripRounds: 3,
  roundTripsPerRound: 500,
  bulkRounds: 2,
  bulkBytes: 48 * mebi,
  kills: 1,
  execs: 10,
  controlRounds: 1,
  controlSeconds: 1,
  controlSandboxes: 60,
  watchSeconds: 2,
  rowMs: 1_500,
  failoverMs: 12_000,
}

const isGroup = (name: string): name is Group => groups.some((group) => group === name)

export const parse = (argv: ReadonlyArray<string>): Options | BenchError | "help" => {
  let json = false
  let fast = false
  let keep = false
  let only: ReadonlyArray<Group> = groups
  let profile: string | undefined
  const rest = argv.flatMap((argument) => {
    const at = argument.indexOf("=")
    return argument.startsWith("--") && at > 0 ? [argument.slice(0, at), argument.slice(at + 1)] : [argument]
  })
  let nodeFlags: ReadonlyArray<string> = []
  let kills: number | undefined
  for (let at = 0; at < rest.length; at += 1) {
    const name = rest[at]
    if (name === "--json") json = true
    else if (name === "--quick") fast = true
    else if (name === "--keep") keep = true
    else if (name === "--help" || name === "-h") return "help"
    else if (name === "--only" || name === "--profile" || name === "--kills" || name === "--node-flags") {
      at += 1
      const value = rest[at]
      if (value === undefined) return new BenchError({ message: `${name} needs a value` })
      if (name === "--profile") profile = value
      else if (name === "--node-flags") nodeFlags = value.split(" ").filter((flag) => flag !== "")
      else if (name === "--kills") {
        kills = Number(value)
        if (!Number.isInteger(kills) || kills < 1)
          return new BenchError({ message: `--kills '${value}' is not a number of kills` })
      } else {
        const wanted = value.split(",")
        const unknown = wanted.find((group) => !isGroup(group))
        if (unknown !== undefined)
          return new BenchError({
            message: `there is no group '${unknown}': choose from ${groups.join(", ")}`,
          })
        only = wanted.filter(isGroup)
      }
    } else return new BenchError({ message: `unknown argument '${name}'` })
  }
  const usual = fast ? quick : full
  const sizes = kills === undefined ? usual : { ...usual, kills }
  return { json, quick: fast, only, nodeFlags, profile, keep, kills, sizes }
}
