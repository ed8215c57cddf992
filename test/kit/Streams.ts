/** Resumable streams for tests: `connect()` of the library over `ForwardTcp` through given replicas. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { limits } from "../../src/domain/Limits.ts"
import { Status } from "../../src/domain/Status.ts"
import { connect } from "../../src/stream/Connect.ts"
import { StreamRefused } from "../../src/stream/Outcome.ts"
import { carrierKey, newIdentity } from "../../src/stream/Proof.ts"
import type { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import type { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { GrpcError } from "../../src/wire/grpc/GrpcError.ts"
import { MessageReader } from "../../src/wire/grpc/MessageReader.ts"
import { writeMessage } from "../../src/wire/grpc/MessageWriter.ts"
import { decodeMessage, encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import {
  type ExecSandboxEvent,
  ExecSandboxEventSchema,
  ExecSandboxInputSchema,
  OpenShell,
  TcpForwardFrameSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { clientLeg } from "../../src/wire/RelayLeg.ts"

export interface CarrierRequest {
  readonly sandboxId: string
  readonly token: string
  readonly kind: "ssh" | "tcp" | "exec"
  /** Of kind `tcp`. */
  readonly port?: number
  readonly key: Uint8Array
}

/** Opens one carrier; `stream` tells whether the gateway says that it is one. Rejects with the GrpcError. */
export const openCarrier = async (
  connection: GrpcConnection,
  { sandboxId, token, kind, port = 0, key }: CarrierRequest,
  signal?: AbortSignal,
): Promise<{ readonly duplex: RelayDuplex; readonly stream: boolean }> => {
  const call = connection.open(methodPath(OpenShell.method.forwardTcp))
  const cancel = () => call.cancel()
  signal?.addEventListener("abort", cancel, { once: true })
  await call.write(
    encodeMessage(TcpForwardFrameSchema, {
      payload: {
        case: "init",
        value: {
          sandboxId,
          authorizationToken: token,
          target:
            kind === "tcp" ? { case: "tcp", value: { host: "127.0.0.1", port } } : { case: "ssh", value: {} },
          holdfast: { key, kind },
        },
      },
    }),
  )
  await call.headers
  signal?.removeEventListener("abort", cancel)
  const duplex = new RelayDuplex(clientLeg(call))
  duplex.on("error", () => undefined)
  return { duplex, stream: call.metadata["holdfast-stream"] === "1" }
}

export interface StreamRequest extends Omit<CarrierRequest, "key"> {
  /** Asked in turn, one for each attempt. */
  readonly connections: ReadonlyArray<() => Promise<GrpcConnection>>
}

/** What another attempt cannot change. */
const final: ReadonlyArray<number> = [
  Status.UNAUTHENTICATED,
  Status.PERMISSION_DENIED,
  Status.NOT_FOUND,
  Status.FAILED_PRECONDITION,
]

export const openStream = ({ connections, ...request }: StreamRequest): ResumableDuplex => {
  const identity = newIdentity()
  let turn = 0
  return connect({
    identity,
    kind: request.kind,
    target: request.kind === "tcp" ? `127.0.0.1:${request.port}` : "",
    openCarrier: async (_attempt, signal) => {
      const connection = connections[turn % connections.length]
      turn += 1
      if (connection === undefined) throw new Error("no replica to connect to")
      try {
        const carrier = { ...request, key: carrierKey(identity.id) }
        const { duplex, stream } = await openCarrier(await connection(), carrier, signal)
        if (!stream) throw new Error("the relay is a plain one")
        return duplex
      } catch (error) {
        if (error instanceof GrpcError && final.includes(error.code))
          throw new StreamRefused({ code: "denied", message: error.message })
        throw error
      }
    },
  })
}

/** The messages of an exec over a stream. */
export const execOver = (stream: ResumableDuplex) => {
  const reader = new MessageReader(stream, limits.responseMessageBytes)
  return {
    send: (payload: NonNullable<MessageInitShape<typeof ExecSandboxInputSchema>["payload"]>) =>
      writeMessage(stream, encodeMessage(ExecSandboxInputSchema, { payload })),
    receive: async (): Promise<ExecSandboxEvent["payload"] | undefined> => {
      const bytes = await reader.read()
      return bytes === undefined ? undefined : decodeMessage(ExecSandboxEventSchema, bytes).payload
    },
  }
}

/** Runs a command to its end; `onOutput` sees the bytes of standard output so far. */
export const execStream = async (
  stream: ResumableDuplex,
  request: { readonly sandboxId: string; readonly command: string[] },
  onOutput: (bytes: number) => void = () => undefined,
) => {
  const { send, receive } = execOver(stream)
  await send({ case: "start", value: request })
  stream.end()
  const stdout: Uint8Array[] = []
  let bytes = 0
  let exitCode: number | undefined
  for (let event = await receive(); event !== undefined; event = await receive()) {
    if (event.case === "exit") exitCode = event.value.exitCode
    if (event.case !== "stdout") continue
    stdout.push(event.value.data)
    bytes += event.value.data.length
    onOutput(bytes)
  }
  return { stdout: Buffer.concat(stdout), exitCode }
}
