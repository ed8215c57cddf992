/** A local TCP listener whose connections end at a port on a sandbox's loopback. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { Data, Effect, Runtime, Schedule, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { OpenShell, type TcpForwardFrameSchema } from "../wire/OpenShell.ts"
import { joinSocket } from "../wire/RelayBridge.ts"
import { clientLeg } from "../wire/RelayLeg.ts"
import type { ClientError, GatewayClientService } from "./GatewayClient.ts"
import { type Lease, makeSshSessions } from "./SshSessions.ts"
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
}

export interface Forwarding {
  readonly host: string
  readonly port: number
  readonly remotePort: number
}

/** Listens until the scope closes; connections that are open then are reset. */
export const forward = (
  client: GatewayClientService,
  options: ForwardOptions,
): Effect.Effect<Forwarding, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const sessions = yield* makeSshSessions(client, options.sandbox.id)
    const runtime = yield* Effect.runtime<never>()
    const sockets = new Set<Socket>()
    const accept = (socket: Socket): void => {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => socket.destroy())
      socket.once("close", () => sockets.delete(socket))
      const running = Runtime.runFork(runtime)(
        carry(client, sessions.lease, options, socket).pipe(
          Effect.catchAll((error) =>
            Effect.sync(() => {
              socket.resetAndDestroy()
              options.onError?.(error)
            }),
          ),
        ),
      )
      running.addObserver(() => socket.destroySoon())
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
  Effect.acquireUseRelease(
    lease,
    (held) =>
      relay(client, held.token, options, socket).pipe(
        Effect.tapErrorTag("Unauthenticated", () => held.reject),
        Effect.scoped,
      ),
    (held) => held.release,
  ).pipe(
    // A token dies with a stop of the sandbox or an administrator's revocation; a new one may be granted.
    Effect.retry({ while: (error) => error._tag === "Unauthenticated", times: 1 }),
    Effect.retry({ while: (error) => error._tag === "LimitReached", schedule: whileFull }),
  )

/** Carries one connection to its end. Fails only before the first byte came back. */
const relay = Effect.fn("client.forward.relay")(function* (
  client: GatewayClientService,
  token: string,
  options: ForwardOptions,
  socket: Socket,
) {
  const { call } = yield* client.open(OpenShell.method.forwardTcp)
  const { name, id } = options.sandbox
  yield* Effect.tryPromise({
    try: async () => {
      await call.write(
        forwardInit({
          sandboxId: id,
          serviceId: `service-forward:${name}:127.0.0.1:${options.remotePort}`,
          target: { case: "tcp", value: { host: "127.0.0.1", port: options.remotePort } },
          authorizationToken: token,
        }),
      )
      await call.headers
    },
    catch: publicErrorOfUnknown,
  })
  const bridge = joinSocket(clientLeg(call), socket)
  // Accepted paused, so that nothing was read before there was somewhere to put it.
  socket.resume()
  const outcome = yield* Effect.promise(() => bridge.closed).pipe(
    Effect.onInterrupt(() => Effect.sync(() => bridge.abort("the forward was closed"))),
  )
  // A gateway that sends headers first reports a refused target only afterwards.
  const refused = outcome.reason !== undefined && outcome.toSocketBytes === 0 && !socket.readableEnded
  const error = refused ? yield* Effect.promise(() => call.status) : undefined
  if (error !== undefined) options.onError?.(publicErrorOfUnknown(error))
})

type ForwardInit = Extract<
  NonNullable<MessageInitShape<typeof TcpForwardFrameSchema>["payload"]>,
  { readonly case: "init" }
>["value"]

const forwardInit = (value: ForwardInit): Uint8Array => {
  const schema = OpenShell.method.forwardTcp.input
  return toBinary(schema, create(schema, { payload: { case: "init", value } }))
}
