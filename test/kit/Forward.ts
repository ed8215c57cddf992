/** `ForwardTcp` for tests: a Duplex of the payload. */
import { type AddressInfo, createServer, type Server } from "node:net"
import type { Duplex } from "node:stream"
import { Status } from "../../src/domain/Status.ts"
import type { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../src/wire/grpc/GrpcError.ts"
import { encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import { OpenShell, TcpForwardFrameSchema } from "../../src/wire/openshell-v1/Generated.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { clientLeg } from "../../src/wire/RelayLeg.ts"
import { callUnary } from "./Calls.ts"

export const sshToken = async (connection: GrpcConnection, sandboxId: string): Promise<string> =>
  (await callUnary(connection, OpenShell.method.createSshSession, { sandboxId })).token

export interface ForwardTarget {
  readonly sandboxId: string
  readonly token: string
  readonly port: number
  readonly host?: string
}

/** Opens a forward; rejects with the GrpcError that refused it. */
export const openForward = async (
  connection: GrpcConnection,
  target: ForwardTarget,
): Promise<RelayDuplex> => {
  // No open may take longer than holding a caller and a claim together.
  const deadline = AbortSignal.timeout(40_000)
  const call = connection.open(methodPath(OpenShell.method.forwardTcp))
  deadline.addEventListener("abort", () => {
    if (!opened)
      call.cancel(
        new GrpcError({ code: Status.DEADLINE_EXCEEDED, message: "the forward did not open in 40 s" }),
      )
  })
  let opened = false
  await call.write(
    encodeMessage(TcpForwardFrameSchema, {
      payload: {
        case: "init",
        value: {
          sandboxId: target.sandboxId,
          target: { case: "tcp", value: { host: target.host ?? "127.0.0.1", port: target.port } },
          authorizationToken: target.token,
        },
      },
    }),
  )
  await call.headers
  opened = true
  const refusal = call.stream.destroyed ? await call.status : undefined
  if (refusal !== undefined) throw refusal
  const stream = new RelayDuplex(clientLeg(call))
  // Tests cut relays on purpose; those that care listen themselves.
  stream.on("error", () => {})
  return stream
}

/** Sends `payload` and reads as much back. */
export const echo = (stream: Duplex, payload: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size < payload.length) return
      stream.off("data", onData)
      resolve(Buffer.concat(chunks))
    }
    stream.on("data", onData)
    stream.once("error", reject)
    setTimeout(
      () => reject(new Error(`no echo within 20 s, ${size} of ${payload.length} bytes came`)),
      20_000,
    ).unref()
    stream.once("close", () => reject(new Error("closed before the echo was complete")))
    stream.write(payload)
  })

export interface EchoServer {
  readonly port: number
  readonly connections: () => number
  readonly close: () => void
}

export const echoServer = async (): Promise<EchoServer> => {
  let open = 0
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open += 1
    socket.on("error", () => {})
    socket.once("close", () => {
      open -= 1
    })
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return { port, connections: () => open, close: () => server.close() }
}
