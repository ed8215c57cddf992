/** Connections of the load generator: plain TCP, or a forward through a replica as the CLI opens it. */
import net from "node:net"
import type { Duplex } from "node:stream"
import { GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import { encodeMessage, methodPath } from "../../../src/wire/grpc/Typed.ts"
import { OpenShell, TcpForwardFrameSchema } from "../../../src/wire/openshell-v1/Generated.ts"
import { RelayDuplex } from "../../../src/wire/RelayDuplex.ts"
import { clientLeg } from "../../../src/wire/RelayLeg.ts"
import type { Way } from "./Protocol.ts"

const connections = new Map<string, Promise<GrpcConnection>>()

/** One connection per replica, made again when it is lost. */
export const connectionTo = async (url: string): Promise<GrpcConnection> => {
  const known = await connections.get(url)?.catch(() => undefined)
  if (known !== undefined && !known.draining) return known
  const fresh = GrpcConnection.connect({ url, connectTimeoutMs: 1_000 })
  connections.set(url, fresh)
  return fresh
}

const plain = (port: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true })
    socket.once("connect", () => resolve(socket))
    socket.once("error", reject)
  })

let turn = 0

const relay = async (way: Extract<Way, { _tag: "Relay" }>): Promise<Duplex> => {
  const connection = await connectionTo(way.url)
  const call = connection.open(methodPath(OpenShell.method.forwardTcp))
  turn += 1
  const value = {
    sandboxId: way.sandboxId,
    serviceId: "bench",
    target: { case: "tcp" as const, value: { host: "127.0.0.1", port: way.port } },
    authorizationToken: way.tokens[turn % way.tokens.length] ?? "",
  }
  await call.write(encodeMessage(TcpForwardFrameSchema, { payload: { case: "init", value } }))
  await call.headers
  return new RelayDuplex(clientLeg(call))
}

export const dial = (way: Way): Promise<Duplex> => (way._tag === "Tcp" ? plain(way.port) : relay(way))
