/**
 * Links between replicas, and between replicas and Postgres, whose packets the kernel drops. The whole drill runs
 * in a network namespace of its own (Namespace.ts), so its rules concern nobody else. Each replica runs under a
 * group of its own: by it the kernel knows whose connection a packet belongs to.
 */
import { execFileSync } from "node:child_process"
import { Effect } from "effect"
import { mainModule } from "../../domain/Installation.ts"
import { gatewayNodeFlags } from "../../domain/NodeFlags.ts"
import { failed } from "../DrillError.ts"
import { type Cut, type Links, database as postgres } from "./Site.ts"

/** Above the groups of systems and people. */
const firstGroup = 61_000

/** `replica-3` is 3. */
const numberOf = (name: string): number => Number(/(\d+)$/.exec(name)?.[1] ?? 0)

const underGroup = `exec setpriv --regid "$((${firstGroup} + \${HOLDFAST_NAME##*-}))" --clear-groups "$@"`

/** Of a replica, so that its connections can be told from those of others. */
export const gatewayCommand: ReadonlyArray<string> = [
  ...["/bin/sh", "-c", underGroup, "sh", process.execPath],
  ...[...gatewayNodeFlags, mainModule, "gateway", "run"],
]

const iptables = (...args: ReadonlyArray<string>): void => {
  execFileSync("iptables", ["--wait", ...args], { stdio: ["ignore", "ignore", "pipe"] })
}

interface Addresses {
  readonly peerPort: number
  readonly databasePort: number
}

const chainOf = (name: string): string => `cut-${numberOf(name)}`
const markOf = (name: string): string => String(firstGroup + numberOf(name))

/** What is dropped on its way out of whoever sends it; loopback has no other side. */
const dropped = (
  name: string,
  cut: Cut,
  known: ReadonlyMap<string, Addresses>,
): ReadonlyArray<ReadonlyArray<string>> => {
  const own = known.get(name)
  const all = [...known.values()]
  const databasePort = String(all[0]?.databasePort ?? 0)
  if (name === postgres)
    return [
      ["--dport", databasePort],
      ["--sport", databasePort],
    ]
  const ports = [databasePort, ...all.filter((one) => one !== own).map(({ peerPort }) => String(peerPort))]
  const list = ports.join(",")
  const dialled = (direction: string) => [
    "-m",
    "connmark",
    "--mark",
    markOf(name),
    "-m",
    "conntrack",
    "--ctdir",
    direction,
  ]
  const outgoing = [
    [...dialled("ORIGINAL"), "-m", "multiport", "--dports", list],
    ["--sport", String(own?.peerPort ?? 0)],
  ]
  const incoming = [
    [...dialled("REPLY"), "-m", "multiport", "--sports", list],
    ["--dport", String(own?.peerPort ?? 0)],
  ]
  return [...(cut === "incoming" ? [] : outgoing), ...(cut === "outgoing" ? [] : incoming)]
}

export interface PacketLinks extends Links {
  readonly environment: (
    name: string,
    usual: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>
}

export const make = (): PacketLinks => {
  const known = new Map<string, Addresses>()
  const chains = new Set<string>()
  const prepareChain = (name: string): void => {
    if (chains.has(name)) return
    chains.add(name)
    iptables("-N", chainOf(name))
    iptables("-A", "OUTPUT", "-p", "tcp", "-j", chainOf(name))
  }
  return {
    environment: (name, usual) => {
      known.set(name, {
        peerPort: Number(usual.HOLDFAST_PEER_LISTEN?.split(":").at(-1)),
        databasePort: Number(new URL(usual.HOLDFAST_DATABASE_URL ?? "").port),
      })
      if (!chains.has(name)) {
        prepareChain(name)
        const owner = ["-m", "owner", "--gid-owner", markOf(name)]
        const first = ["-m", "conntrack", "--ctdir", "ORIGINAL"]
        const mark = ["-j", "CONNMARK", "--set-mark", markOf(name)]
        iptables("-t", "mangle", "-A", "OUTPUT", "-p", "tcp", ...owner, ...first, ...mark)
      }
      return {}
    },
    cut: (name, cut) =>
      Effect.try({
        try: () => {
          prepareChain(name)
          for (const match of dropped(name, cut, known)) {
            iptables("-A", chainOf(name), "-p", "tcp", ...match, "-j", "DROP")
          }
        },
        catch: failed(`cannot cut ${name} off`),
      }),
    heal: (name) =>
      Effect.try({
        try: () => iptables("-F", chainOf(name)),
        catch: failed(`cannot connect ${name}`),
      }),
  }
}
