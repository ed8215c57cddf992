/** A local TCP listener whose connections end at a port on a sandbox's loopback. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { pipeline } from "node:stream/promises"
import { Data, Effect, Either, FiberSet, Runtime, Schedule, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { StreamReset } from "../stream/Outcome.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { type Lease, makeSshSessions } from "./SshSessions.ts"
import type { StallListener } from "./Stalls.ts"
import { publicErrorOfUnknown } from "./StatusErrors.ts"

/** The local address cannot be listened on. */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly host: string
  readonly port: number
  /** The system's code, such as `EADDRINUSE`. */
  readonly code: string
}> {
  override get message(): string {
    return `cannot listen on ${this.host}:${this.port}: ${this.code}`
  }
}

export interface ForwardOptions {
  readonly sandbox: Sandbox
  readonly host: string
  /** 0 for any free port. */
  readonly port: number
  readonly remotePort: number
  /** One connection failed; the listener goes on. */
  readonly onError?: (error: ClientError) => void
  /** A connection that had come about broke off, and was reset. */
  readonly onBroken?: (error: ClientError) => void
  /** Of all connections. */
  readonly onStall?: StallListener
}

export interface Forwarding {
  readonly host: string
  readonly port: number
  readonly remotePort: number
}

/** Listens until the scope closes; connections that are open then are cut. */
export const forward = (
  client: GatewayClientService,
  options: ForwardOptions,
): Effect.Effect<Forwarding, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const sessions = yield* makeSshSessions(client, options.sandbox.id)
    // Streams that are open at the end tell the sandbox so before the way there closes.
    const run = yield* FiberSet.makeRuntime<never>()
    const sockets = new Set<Socket>()
    const accept = (socket: Socket): void => {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => socket.destroy())
      socket.once("close", () => sockets.delete(socket))
      run(
        carry(client, sessions.lease, options, socket).pipe(
          Effect.catchAll((error) =>
            Effect.sync(() => {
              socket.resetAndDestroy()
              options.onError?.(error)
            }),
          ),
          Effect.ensuring(Effect.sync(() => socket.destroySoon())),
        ),
      )
    }
    const server = yield* Effect.acquireRelease(listen(options, accept), (listening) =>
      Effect.sync(() => {
        listening.close()
        for (const socket of sockets) socket.destroy()
      }),
    )
    const address = server.address()
    const port = isAddress(address) ? address.port : options.port
    return { host: options.host, port, remotePort: options.remotePort }
  })

const isAddress = (address: string | AddressInfo | null): address is AddressInfo =>
  typeof address === "object" && address !== null

const listen = (
  options: ForwardOptions,
  accept: (socket: Socket) => void,
): Effect.Effect<Server, ListenFailed> =>
  Effect.async((resume) => {
    const { host, port } = options
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, accept)
    server.once("error", (error: NodeJS.ErrnoException) => {
      resume(Effect.fail(new ListenFailed({ host, port, code: error.code ?? error.message })))
    })
    server.listen(port, host, () => resume(Effect.succeed(server)))
  })

/** A full sandbox frees a place when any of its connections ends; a browser's burst is worth a short wait. */
const whileFull = Schedule.exponential("100 millis").pipe(
  Schedule.jittered,
  Schedule.upTo(limits.sessionWaitMs),
)

const carry = (
  client: GatewayClientService,
  lease: Effect.Effect<Lease, ClientError>,
  options: ForwardOptions,
  socket: Socket,
): Effect.Effect<void, ClientError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const token = yield* leasedToken(lease)
      const { name, id } = options.sandbox
      const target = { host: "127.0.0.1", port: options.remotePort }
      const serviceId = `service-forward:${name}:${target.host}:${target.port}`
      const stream = yield* client
        .openStream({ kind: "tcp", sandboxId: id, serviceId, target, token, onStall: options.onStall })
        .pipe(Effect.retry({ while: (error) => error._tag === "LimitReached", schedule: whileFull }))
      const broken = yield* Effect.promise(() => join(stream.duplex, socket))
      if (broken === undefined) return
      const error = yield* Effect.promise(() => stream.reason(broken.error))
      // What the target did to a connection that came about is told by the reset alone.
      const cameAbout = error instanceof StreamReset || (!stream.resumable && broken.bytesWritten > 0)
      if (cameAbout) options.onBroken?.(publicErrorOfUnknown(error))
      else if (!socket.readableEnded) options.onError?.(publicErrorOfUnknown(error))
    }),
  )

/** A token for one connection, another when the gateway refuses it; its place is free again with the scope. */
const leasedToken = (
  lease: Effect.Effect<Lease, ClientError>,
): Effect.Effect<(refused: boolean) => Promise<string>, ClientError, Scope.Scope> =>
  Effect.gen(function* () {
    const held = { lease: yield* lease }
    yield* Effect.addFinalizer(() => Effect.suspend(() => held.lease.release))
    const replace = Effect.suspend(() => {
      const refused = held.lease
      return refused.reject.pipe(
        Effect.zipRight(lease),
        Effect.tap((fresh) => {
          held.lease = fresh
          return refused.release
        }),
        Effect.uninterruptible,
        Effect.either,
      )
    })
    const run = Runtime.runPromise(yield* Effect.runtime<never>())
    return async (refused) => {
      if (refused) Either.getOrThrowWith(await run(replace), (error) => error)
      return held.lease.token
    }
  })

/** What broke a connection, and what had come through to the program that connected. */
interface Broken {
  readonly error: unknown
  readonly bytesWritten: number
}

/** Carries both directions to their ends; resolves with the stream's error when that was what broke. */
const join = async (stream: Duplex, socket: Socket): Promise<Broken | undefined> => {
  let broken: Broken | undefined
  stream.once("error", (error) => {
    if (socket.destroyed) return
    // A socket that was reset has forgotten the number.
    broken = { error, bytesWritten: socket.bytesWritten }
    // A plain close would look like an ordinary end to the program that connected.
    socket.resetAndDestroy()
  })
  await Promise.allSettled([pipeline(socket, stream), pipeline(stream, socket)])
  return broken
}
