/**
 * One address for all replicas of a local cluster: a TCP balancer that gives each new connection to the
 * ready replica with the fewest. Clusters elsewhere have a load balancer or a Kubernetes Service instead.
 */
import http from "node:http"
import net, { type Socket } from "node:net"
import { Data, Effect, Schedule, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import { splice } from "./Splice.ts"

export class FrontDoorError extends Data.TaggedError("FrontDoorError")<{ readonly message: string }> {}

export interface Backend {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Answers 200 while the replica takes new connections; without it only refused connections count. */
  readonly readyUrl?: string
}

export interface FrontDoorOptions {
  readonly host: string
  /** 0 lets the kernel choose. */
  readonly port: number
  /** Asked again at every readiness check, so the list may grow and shrink. */
  readonly replicas: Effect.Effect<ReadonlyArray<Backend>>
}

export interface FrontDoor {
  readonly host: string
  readonly port: number
  /** Open connections by replica name, of the replicas listed at the last check. */
  readonly connections: () => ReadonlyMap<string, number>
  /** Looks at all replicas now instead of at the next interval. */
  readonly refresh: Effect.Effect<void>
}

interface Target {
  readonly backend: Backend
  usable: boolean
  connections: number
}

const key = ({ name, host, port, readyUrl }: Backend): string => `${name} ${host} ${port} ${readyUrl}`

/** The state of balancing; knows nothing of sockets. */
const makeTargets = () => {
  let targets: ReadonlyArray<Target> = []
  let turn = 0
  return {
    all: () => targets,
    replace: (backends: ReadonlyArray<Backend>): void => {
      const known = new Map(targets.map((target) => [key(target.backend), target]))
      // A known target stays the same object, because its connections count down on it. A replica that
      // nobody has looked at yet may be tried: a refused connection tells.
      targets = backends.map(
        (backend) => known.get(key(backend)) ?? { backend, usable: true, connections: 0 },
      )
    },
    /** Fewest connections; among equals in turn. `ready`: of those that take new connections, or of all. */
    pick: (tried: ReadonlySet<Target>, ready: boolean): Target | undefined => {
      const candidates = targets.filter((target) => (target.usable || !ready) && !tried.has(target))
      const fewest = Math.min(...candidates.map(({ connections }) => connections))
      const equals = candidates.filter(({ connections }) => connections === fewest)
      turn += 1
      return equals[turn % Math.max(equals.length, 1)]
    },
  }
}
type Targets = ReturnType<typeof makeTargets>

const connect = ({ host, port }: Backend): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true })
    const fail = () => {
      socket.destroy()
      resolve(undefined)
    }
    socket.setTimeout(limits.frontDoorConnectMs, fail)
    socket.once("error", fail)
    socket.once("connect", () => {
      socket.setTimeout(0)
      socket.off("timeout", fail)
      socket.off("error", fail)
      resolve(socket)
    })
  })

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/**
 * A connected replica, waiting for one to become ready if none is; undefined when none does in time. When that lasts,
 * one that is not ready but there: without the database none is, and each can say so, and serve what it knows.
 */
const findReplica = async (targets: Targets, client: Socket): Promise<[Target, Socket] | undefined> => {
  const startedAtMs = performance.now()
  while (performance.now() - startedAtMs < limits.frontDoorHoldMs && !client.destroyed) {
    const ready = performance.now() - startedAtMs < limits.frontDoorUnreadyMs
    const tried = new Set<Target>()
    for (let target = targets.pick(tried, ready); target !== undefined; target = targets.pick(tried, ready)) {
      tried.add(target)
      // Counted from here, so that simultaneous connections spread.
      target.connections += 1
      const socket = await connect(target.backend)
      if (socket !== undefined) return [target, socket]
      target.connections -= 1
      target.usable = false
    }
    await pause(limits.frontDoorPollMs)
  }
  return undefined
}

const serve = async (targets: Targets, client: Socket, sockets: Set<Socket>): Promise<void> => {
  // Until the splice, an error only means that nobody waits any more.
  client.on("error", () => undefined)
  sockets.add(client)
  client.once("close", () => sockets.delete(client))
  const found = await findReplica(targets, client)
  if (found === undefined) return void client.resetAndDestroy()
  const [target, replica] = found
  const release = () => {
    target.connections -= 1
    sockets.delete(replica)
  }
  replica.on("error", () => undefined)
  if (client.destroyed) {
    replica.destroy()
    return release()
  }
  sockets.add(replica)
  splice(client, replica, release)
}

const answersOk = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = http.get(url, { timeout: limits.readinessTimeoutMs, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.once("timeout", () => request.destroy(new Error("timeout")))
    request.once("error", () => resolve(false))
  })

const accepts = async (backend: Backend): Promise<boolean> => {
  const socket = await connect(backend)
  socket?.destroy()
  return socket !== undefined
}

const checkTarget = (target: Target): Effect.Effect<void> =>
  Effect.promise(async () => {
    const { readyUrl } = target.backend
    target.usable = await (readyUrl === undefined ? accepts(target.backend) : answersOk(readyUrl))
  })

const check = (targets: Targets, replicas: Effect.Effect<ReadonlyArray<Backend>>): Effect.Effect<void> =>
  Effect.gen(function* () {
    targets.replace(yield* replicas)
    yield* Effect.all(targets.all().map(checkTarget), { concurrency: "unbounded", discard: true })
  })

const listen = (options: FrontDoorOptions, server: net.Server): Effect.Effect<number, FrontDoorError> =>
  Effect.async((resume) => {
    server.once("error", (error) =>
      resume(
        new FrontDoorError({
          message: `the front door cannot listen on ${options.host}:${options.port}: ${error.message}`,
        }),
      ),
    )
    server.listen({ host: options.host, port: options.port }, () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : options.port))
    })
  })

/** Listens until the scope closes, which cuts the connections that are left. */
export const start = (options: FrontDoorOptions): Effect.Effect<FrontDoor, FrontDoorError, Scope.Scope> =>
  Effect.gen(function* () {
    const targets = makeTargets()
    const sockets = new Set<Socket>()
    targets.replace(yield* options.replicas)
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        net.createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true }),
      ),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.resetAndDestroy()
        }),
    )
    server.maxConnections = limits.frontDoorConnections
    server.on("connection", (client) => void serve(targets, client, sockets))
    const port = yield* listen(options, server)
    const refresh = check(targets, options.replicas)
    yield* refresh.pipe(Effect.repeat(Schedule.spaced(limits.readinessIntervalMs)), Effect.forkScoped)
    return {
      host: options.host,
      port,
      refresh,
      connections: () =>
        new Map(targets.all().map(({ backend, connections }) => [backend.name, connections])),
    }
  })
