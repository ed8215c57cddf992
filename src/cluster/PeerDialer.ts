/** Connections to other replicas: RPC sockets for the cluster and the edges, HTTP/2 for bytes. */
import * as http2 from "node:http2"
import * as tls from "node:tls"
import * as Runners from "@effect/cluster/Runners"
import * as Socket from "@effect/platform/Socket"
import { NodeSocket } from "@effect/platform-node"
import * as RpcClient from "@effect/rpc/RpcClient"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import type { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { ClusterConfig, type HostPort } from "./ClusterConfig.ts"
import { Membership } from "./Membership.ts"
import { carryBytes, peerHttp2Settings } from "./PeerListener.ts"
import { loadPeerCredentials, type PeerProtocol, peerProtocols, replicaOf } from "./PeerTls.ts"

export class PeerDialer extends Context.Tag("holdfast/PeerDialer")<
  PeerDialer,
  {
    readonly dial: (address: HostPort, protocol: PeerProtocol) => tls.TLSSocket
    /** The shared HTTP/2 connection to a replica; opened on first use, reopened after a loss. */
    readonly bytes: (address: HostPort) => http2.ClientHttp2Session
    /**
     * That replica was silent for long: what waits on its RPC connections is failed, and new ones are tried until one
     * is answered. A connection whose packets were lost for a while would stay silent for as long again after they
     * pass, because TCP doubles its pauses. Relays that run keep their connection; new ones take another.
     */
    readonly forsake: (address: HostPort) => void
    /** An `@effect/rpc` protocol to a replica. */
    readonly rpc: (
      address: HostPort,
      protocol: PeerProtocol,
    ) => ReturnType<typeof RpcClient.makeProtocolSocket> extends Effect.Effect<infer A, infer E, infer R>
      ? Effect.Effect<A, E, Exclude<R, RpcSerialization.RpcSerialization | Socket.Socket>>
      : never
  }
>() {}

/**
 * A retry remembers its last error, and an error whose stack nobody has read keeps what its frames were called on:
 * here the socket, by its listeners the fiber of that attempt, and so the error before it. Reading it lets go of all.
 */
const letGo = (error: unknown): void => {
  for (let at = error; at instanceof Error; at = at.cause) void at.stack
}

const reconnecting = Schedule.spaced(limits.peerReconnectMs).pipe(
  Schedule.tapInput((error: Socket.SocketError) => Effect.sync(() => letGo(error))),
)

const keyOf = ({ host, port }: HostPort): string => `${host}:${port}`

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const credentials = yield* loadPeerCredentials(config)
  const serialization = yield* RpcSerialization.RpcSerialization
  const context = tls.createSecureContext(credentials)
  const membership = yield* Membership
  const sessions = new Map<string, http2.ClientHttp2Session>()
  /** Those that were left included, until their last relay ends. */
  const openSessions = new Set<http2.ClientHttp2Session>()
  const rpcSockets = new Map<string, Set<tls.TLSSocket>>()

  const dial = ({ host, port }: HostPort, protocol: PeerProtocol) => {
    const socket = tls.connect({
      host,
      port,
      secureContext: context,
      ALPNProtocols: [protocol],
      // Addresses are not names here: the certificate must name a replica of this cluster instead.
      checkServerIdentity: (_, certificate) =>
        replicaOf(certificate, config.clusterId) === undefined
          ? new Error(`the certificate of ${host}:${port} does not belong to cluster '${config.clusterId}'`)
          : undefined,
    })
    socket.setNoDelay(true)
    return socket
  }

  const bytes = (address: HostPort) => {
    const key = keyOf(address)
    const existing = sessions.get(key)
    if (existing !== undefined && !existing.closed && !existing.destroyed) return existing
    const session = http2.connect(`https://${key}`, {
      createConnection: () => {
        const socket = dial(address, peerProtocols.bytes)
        // node:http2 leaves a socket open that failed.
        return socket.on("error", () => socket.destroy())
      },
      settings: peerHttp2Settings,
      maxSessionMemory: limits.http2SessionMemoryMb,
    })
    session.on("connect", () => carryBytes(session))
    session.on("error", () => {})
    session.on("close", () => {
      openSessions.delete(session)
      if (sessions.get(key) === session) sessions.delete(key)
    })
    session.unref()
    sessions.set(key, session)
    openSessions.add(session)
    return session
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const session of openSessions) session.destroy()
    }),
  )

  /** Remembers an RPC socket, so that whoever waits on it is told when its replica has left. */
  const track = (address: HostPort, socket: tls.TLSSocket) => {
    const key = keyOf(address)
    const open = rpcSockets.get(key) ?? new Set()
    rpcSockets.set(key, open.add(socket))
    socket.once("close", () => {
      open.delete(socket)
      if (open.size === 0 && rpcSockets.get(key) === open) rpcSockets.delete(key)
    })
  }
  const forsakeKey = (key: string): void => {
    for (const socket of rpcSockets.get(key) ?? []) socket.destroy()
    const session = sessions.get(key)
    sessions.delete(key)
    if (session?.connecting === true) session.destroy()
    else session?.close()
  }
  // A frozen replica keeps its sockets open: asks that wait there are sent again once it has left. Byte legs stay,
  // because a replica that is only cut off from the database still carries its streams.
  yield* membership.ref.changes.pipe(
    Stream.runForEach((members) =>
      Effect.sync(() => {
        const live = new Set(members.filter((member) => member.live).map(keyOf))
        for (const key of new Set([...rpcSockets.keys(), ...sessions.keys()]))
          if (!live.has(key)) forsakeKey(key)
      }),
    ),
    Effect.forkScoped,
  )

  const rpc = (address: HostPort, protocol: PeerProtocol) =>
    NodeSocket.fromDuplex(
      Effect.acquireRelease(
        Effect.async<tls.TLSSocket, Socket.SocketError>((resume) => {
          const socket = dial(address, protocol)
          track(address, socket)
          const fail = (cause: Error) =>
            resume(Effect.fail(new Socket.SocketGenericError({ reason: "Open", cause })))
          socket.once("secureConnect", () => resume(Effect.succeed(socket)))
          socket.on("error", fail)
          socket.once("close", () => fail(new Error("closed before it was open")))
          return Effect.sync(() => socket.destroy())
          // Otherwise the timeout would wait for the kernel, which looks for a lost peer for two minutes.
        }).pipe(Effect.interruptible),
        (socket) => Effect.sync(() => socket.destroy()),
      ),
      { openTimeout: limits.peerOpenTimeoutMs },
    ).pipe(
      Effect.flatMap((socket) =>
        RpcClient.makeProtocolSocket({ retrySchedule: reconnecting }).pipe(
          Effect.provideService(Socket.Socket, socket),
          Effect.provideService(RpcSerialization.RpcSerialization, serialization),
        ),
      ),
    )

  return PeerDialer.of({ dial, bytes, rpc, forsake: (address) => forsakeKey(keyOf(address)) })
})

export const layer: Layer.Layer<
  PeerDialer,
  FailedPrecondition,
  ClusterConfig | Membership | RpcSerialization.RpcSerialization
> = Layer.scoped(PeerDialer, make)

/** How Effect Cluster reaches the other runners. */
export const layerRunnersProtocol: Layer.Layer<Runners.RpcClientProtocol, never, PeerDialer> = Layer.effect(
  Runners.RpcClientProtocol,
  Effect.map(PeerDialer, (dialer) => (address) => dialer.rpc(address, peerProtocols.cluster)),
)
