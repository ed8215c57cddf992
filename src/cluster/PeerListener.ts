/** The peer port: mutual TLS, three protocols told apart by ALPN. */
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import * as tls from "node:tls"
import type * as Socket from "@effect/platform/Socket"
import * as SocketServer from "@effect/platform/SocketServer"
import { NodeSocket } from "@effect/platform-node"
import { Context, Effect, FiberSet, Layer, type Scope } from "effect"
import { FailedPrecondition } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { startKeepalive } from "../wire/grpc/Keepalive.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import { loadPeerCredentials, type PeerProtocol, peerName, peerProtocols } from "./PeerTls.ts"

export class PeerListener extends Context.Tag("holdfast/PeerListener")<
  PeerListener,
  {
    readonly address: AddressInfo
    /** Sockets that negotiated an RPC protocol, as a SocketServer for `@effect/rpc`. */
    readonly rpcServer: (protocol: PeerProtocol) => SocketServer.SocketServer["Type"]
    /** HTTP/2 of the byte legs. */
    readonly bytes: http2.Http2Server
  }
>() {}

/** Settings of peer HTTP/2 on both sides: bytes of many relays share one connection. */
export const peerHttp2Settings: http2.Settings = {
  initialWindowSize: limits.streamWindowBytes,
  maxFrameSize: limits.peerFrameBytes,
  maxConcurrentStreams: limits.streamsPerConnection,
}

/** Windows for many relays, and PINGs: a peer whose packets vanish must not hold streams open for ever. */
export const carryBytes = (session: http2.Http2Session): void => {
  session.setLocalWindowSize(limits.sessionWindowBytes)
  startKeepalive(session, { intervalMs: limits.keepaliveIntervalMs, timeoutMs: limits.keepaliveTimeoutMs })
}

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const credentials = yield* loadPeerCredentials(config)
  const handlers = new Map<PeerProtocol, (socket: tls.TLSSocket) => void>()
  const sockets = new Set<tls.TLSSocket>()

  const bytes = http2.createServer({
    settings: peerHttp2Settings,
    maxSessionMemory: limits.http2SessionMemoryMb,
  })
  bytes.on("session", carryBytes)
  bytes.on("sessionError", () => {})
  handlers.set(peerProtocols.bytes, (socket) => bytes.emit("connection", socket))

  const server = tls.createServer(
    {
      ...credentials,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: Object.values(peerProtocols),
      noDelay: true,
      // A replica that was cut off has given up connections of which this end never hears again.
      keepAlive: true,
      keepAliveInitialDelay: limits.keepaliveIntervalMs,
      handshakeTimeout: limits.connectTimeoutMs,
    },
    (socket) => {
      const handler = handlers.get(socket.alpnProtocol as PeerProtocol)
      if (handler === undefined || peerName(socket, config.clusterId) === undefined) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      // node:http2 leaves a socket open that failed.
      socket.on("error", () => socket.destroy())
      socket.on("close", () => sockets.delete(socket))
      handler(socket)
    },
  )
  server.on("tlsClientError", () => {})

  yield* Effect.acquireRelease(
    Effect.async<void, FailedPrecondition>((resume) => {
      server.once("error", (error) =>
        resume(
          Effect.fail(
            new FailedPrecondition({
              message: `cannot listen for peers on ${config.peerListen.host}:${config.peerListen.port}: ${error.message}. Choose another HOLDFAST_PEER_LISTEN.`,
            }),
          ),
        ),
      )
      server.listen(config.peerListen.port, config.peerListen.host, () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      }),
  )

  const rpcServer = (protocol: PeerProtocol) =>
    SocketServer.SocketServer.of({
      address: { _tag: "TcpAddress", hostname: config.peerListen.host, port: config.peerListen.port },
      run: <R, E, _>(handler: (socket: Socket.Socket) => Effect.Effect<_, E, R>) =>
        Effect.scoped(
          Effect.gen(function* () {
            const fibers = yield* FiberSet.make<unknown, unknown>()
            const fork = yield* FiberSet.runtime(fibers)<Exclude<R, Scope.Scope>>()
            yield* Effect.acquireRelease(
              Effect.sync(() => {
                handlers.set(protocol, (socket) => {
                  const open = Effect.acquireRelease(Effect.succeed(socket), () =>
                    Effect.sync(() => socket.destroySoon()),
                  )
                  fork(
                    NodeSocket.fromDuplex(open).pipe(
                      Effect.flatMap(handler),
                      Effect.catchAllCause(() => Effect.void),
                      Effect.scoped,
                    ) as Effect.Effect<void, never, Exclude<R, Scope.Scope>>,
                  )
                })
              }),
              () => Effect.sync(() => handlers.delete(protocol)),
            )
            return yield* Effect.never
          }),
        ) as Effect.Effect<never, SocketServer.SocketServerError, R>,
    })

  return PeerListener.of({ address: server.address() as AddressInfo, rpcServer, bytes })
})

export const layer: Layer.Layer<PeerListener, FailedPrecondition, ClusterConfig> = Layer.scoped(
  PeerListener,
  make,
)
