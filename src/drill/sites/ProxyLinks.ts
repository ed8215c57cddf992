/**
 * Links between replicas, and between replicas and Postgres, as proxies of this process that can be cut. Each
 * replica is advertised to its peers at a proxy and reaches Postgres through one; who dials a peer is known by
 * the process that owns the socket. Needs no privileges, and no tool of the system.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import net from "node:net"
import { Effect, type Scope } from "effect"
import { failed } from "../DrillError.ts"
import { type Cut, type Links, database as postgres } from "./Site.ts"
import { Valve, type Way } from "./Valve.ts"

const host = "127.0.0.1"

/** `socket:[inode]` of the process's end of a loopback connection from this port. */
const socketFrom = (port: number): string | undefined => {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  // Fields of proc_net_tcp: local address second, inode tenth.
  const line = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((text) => text.trim().split(/\s+/))
    .find((fields) => fields[1]?.endsWith(hex))
  return line === undefined ? undefined : `socket:[${line[9]}]`
}

const holds = (pid: number, socket: string): boolean => {
  try {
    const directory = `/proc/${pid}/fd`
    return readdirSync(directory).some((entry) => readlinkSync(`${directory}/${entry}`) === socket)
  } catch {
    return false
  }
}

interface Link {
  /** Empty while it is not known who dialled: a replica may do so before it is known by its process. */
  from: string
  readonly near: net.Socket
  readonly to: string
  readonly valve: Valve
}

interface Proxy {
  readonly port: number
  /** Port of the real thing, once it is known. */
  targetPort: number
}

/** By name of a replica. */
interface Proxies {
  readonly peer: Proxy
  readonly database: Proxy
}

export interface ProxyLinks extends Links {
  /** The usual settings of a replica, led through its proxies. */
  readonly environment: (
    name: string,
    usual: Readonly<Record<string, string>>,
  ) => Readonly<Record<string, string>>
  /** Says who is who; before, everybody is nobody. */
  readonly identify: (replicas: () => ReadonlyArray<{ readonly name: string; readonly pid: number }>) => void
}

const portOf = (address: string | undefined): number => Number(/:(\d+)$/.exec(address ?? "")?.[1] ?? 0)

export const make = (names: ReadonlyArray<string>): Effect.Effect<ProxyLinks, never, Scope.Scope> =>
  Effect.gen(function* () {
    const cuts = new Map<string, Cut>()
    const links = new Set<Link>()
    /** Connections that came while their link was cut: nobody answers them, and they end when it heals. */
    const unanswered = new Set<net.Socket>()
    let replicas: () => ReadonlyArray<{ readonly name: string; readonly pid: number }> = () => []

    const is = (name: string, cut: Cut): boolean => cuts.get(name) === cut || cuts.get(name) === "both"
    const blocked = (from: string, to: string): boolean => is(from, "outgoing") || is(to, "incoming")
    const blocks = (from: string, to: string) => (way: Way) =>
      way === "forth" ? blocked(from, to) : blocked(to, from)
    const apply = (): void => {
      for (const link of links) {
        if (link.from === "") link.from = dialler(link.near)
        link.valve.set(blocks(link.from, link.to))
      }
      for (const socket of unanswered) socket.destroy()
    }
    const dialler = (socket: net.Socket): string => {
      const end = socketFrom(socket.remotePort ?? 0)
      return end === undefined ? "" : (replicas().find(({ pid }) => holds(pid, end))?.name ?? "")
    }
    const accept = (near: net.Socket, from: string, to: string, port: number): void => {
      near.on("error", () => near.destroy())
      if (blocked(from, to) || blocked(to, from)) {
        unanswered.add(near)
        near.once("close", () => unanswered.delete(near))
        return
      }
      const far = net.connect({ host, port, noDelay: true, allowHalfOpen: true })
      const link: Link = { from, near, to, valve: new Valve(near, far, () => links.delete(link)) }
      links.add(link)
      near.resume()
    }
    const listen = (serve: (near: net.Socket, proxy: Proxy) => void) =>
      Effect.acquireRelease(
        Effect.async<{ readonly server: net.Server; readonly proxy: Proxy }>((resume) => {
          const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true })
          server.listen({ host, port: 0 }, () => {
            const address = server.address()
            const port = typeof address === "object" && address !== null ? address.port : 0
            const proxy: Proxy = { port, targetPort: 0 }
            server.on("connection", (near) => serve(near, proxy))
            resume(Effect.succeed({ server, proxy }))
          })
        }),
        ({ server }) => Effect.sync(() => server.close()),
      ).pipe(Effect.map(({ proxy }) => proxy))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const { valve } of links) valve.destroy()
        for (const socket of unanswered) socket.destroy()
      }),
    )
    const proxies = new Map<string, Proxies>()
    for (const name of names) {
      proxies.set(name, {
        peer: yield* listen((near, { targetPort }) => accept(near, dialler(near), name, targetPort)),
        database: yield* listen((near, { targetPort }) => accept(near, name, postgres, targetPort)),
      })
    }
    return {
      environment: (name, usual) => {
        const own = proxies.get(name)
        if (own === undefined) return {}
        const database = new URL(usual.HOLDFAST_DATABASE_URL ?? "")
        own.peer.targetPort = portOf(usual.HOLDFAST_PEER_LISTEN)
        own.database.targetPort = Number(database.port)
        database.port = String(own.database.port)
        return {
          HOLDFAST_PEER_ADVERTISE: `${host}:${own.peer.port}`,
          HOLDFAST_DATABASE_URL: database.href,
        }
      },
      identify: (all) => {
        replicas = all
      },
      cut: (name, cut) =>
        Effect.try({
          try: () => {
            cuts.set(name, cut)
            apply()
          },
          catch: failed(`cannot cut ${name} off`),
        }),
      heal: (name) =>
        Effect.try({
          try: () => {
            cuts.delete(name)
            apply()
          },
          catch: failed(`cannot connect ${name}`),
        }),
    }
  })
