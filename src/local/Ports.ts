/** Which ports a local cluster uses, and whether they are free. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import net from "node:net"
import { Data, Effect, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import * as KeyedLock from "../driver/KeyedLock.ts"
import * as Proc from "../driver/Proc.ts"

export class PortsError extends Data.TaggedError("PortsError")<{
  readonly message: string
  readonly next: string
}> {}

export interface ReplicaPorts {
  readonly client: number
  readonly peer: number
  readonly metrics: number
}

/** `index` counts from 0: the front door's port is followed by three ports per replica. */
export const replicaPorts = (frontDoor: number, index: number): ReplicaPorts => ({
  client: frontDoor + 1 + 3 * index,
  peer: frontDoor + 2 + 3 * index,
  metrics: frontDoor + 3 + 3 * index,
})

/** Behind the ports of all replicas that there can be. */
export const postgresPort = (frontDoor: number): number => frontDoor + limits.localPorts - 1

export const host = "127.0.0.1"

/** How a port may be unusable, or undefined when it can be listened on. */
const problemOf = (port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const server = net.createServer()
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })

/** The process that listens on a port, as `pid 123 (node)`, where /proc shows it to us. */
const listenerOf = (port: number): string | undefined => {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  try {
    const listening = ["/proc/net/tcp", "/proc/net/tcp6"]
      .flatMap((file) => readFileSync(file, "utf8").split("\n").slice(1))
      .map((line) => line.trim().split(/\s+/))
      // Fields of proc_net_tcp: local address, remote address, state (0A = LISTEN), …, inode.
      .find((fields) => fields[1]?.endsWith(hex) && fields[3] === "0A")
    const socket = `socket:[${listening?.[9]}]`
    if (listening === undefined) return undefined
    const pid = Proc.allPids().find((candidate) => {
      try {
        const directory = `/proc/${candidate}/fd`
        return readdirSync(directory).some((entry) => readlinkSync(`${directory}/${entry}`) === socket)
      } catch {
        return false
      }
    })
    return pid === undefined ? undefined : `pid ${pid} (${Proc.commandLine(pid).join(" ").slice(0, 60)})`
  } catch {
    return undefined
  }
}

/** Fails with the first port that cannot be used, who uses it, and what to do. */
export const checkFree = (wanted: ReadonlyArray<{ readonly port: number; readonly use: string }>) =>
  Effect.forEach(
    wanted,
    ({ port, use }) =>
      Effect.promise(() => problemOf(port)).pipe(
        Effect.flatMap((problem) => {
          if (problem === undefined) return Effect.void
          const owner = problem === "EADDRINUSE" ? listenerOf(port) : undefined
          const why =
            problem === "EADDRINUSE"
              ? `is in use${owner === undefined ? "" : ` by ${owner}`}`
              : `cannot be used (${problem})`
          return new PortsError({
            message: `port ${port}, needed for ${use}, ${why}`,
            next: `Stop what uses it, or choose other ports with --port: the front door's, and up to ${limits.localPorts - 1} after it.`,
          })
        }),
      ),
    { discard: true },
  )

/**
 * The front door's port of a range that is free and stays reserved among clusters that look for one this way
 * until the scope closes: several of them start at once in tests.
 */
export const freeRange = (replicas: number): Effect.Effect<number, PortsError, Scope.Scope> =>
  Effect.gen(function* () {
    const width = 128
    const base = 20_000 + width * Math.floor(Math.random() * 80)
    yield* checkFree(portsOf(base, replicas))
    yield* KeyedLock.hold("ports", String(base)).pipe(
      Effect.mapError(() => new PortsError({ message: `port ${base} is reserved`, next: "" })),
    )
    return base
  }).pipe(Effect.retry({ times: 40 }))

export const portsOf = (frontDoor: number, replicas: number) => [
  { port: frontDoor, use: "the front door" },
  ...Array.from({ length: replicas }, (_, index) => {
    const ports = replicaPorts(frontDoor, index)
    const name = `replica-${index + 1}`
    return [
      { port: ports.client, use: `clients of ${name}` },
      { port: ports.peer, use: `peers of ${name}` },
      { port: ports.metrics, use: `metrics of ${name}` },
    ]
  }).flat(),
  { port: postgresPort(frontDoor), use: "Postgres" },
]
