/** Watches and forwards of the gateway double. */
import { connect } from "node:net"
import type { MessageInitShape } from "@bufbuild/protobuf"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler } from "../../src/wire/grpc/GrpcServer.ts"
import {
  OpenShell,
  SandboxPhase,
  type SandboxSchema,
  type SandboxStreamEventSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import { joinSocket } from "../../src/wire/RelayBridge.ts"
import { serverLeg } from "../../src/wire/RelayLeg.ts"
import { streamingHandler } from "../kit/Calls.ts"
import type { FarEnd } from "./FarEnd.ts"
import type { DoubleSandbox } from "./GatewayDouble.ts"

export type StreamEvent = MessageInitShape<typeof SandboxStreamEventSchema>

export interface Watcher {
  readonly id: string
  readonly send: (event: StreamEvent) => void
  readonly end: () => void
}

export const watchHandler = (find: (id: string) => DoubleSandbox, watchers: Set<Watcher>): MethodHandler =>
  streamingHandler(OpenShell.method.watchSandbox, async ({ call, receive, send }) => {
    const request = await receive()
    const sandbox = find(request?.id ?? "")
    const done = Promise.withResolvers<void>()
    const write = (event: StreamEvent): void => {
      send(event).catch(() => undefined)
      const { payload } = event
      const ready = payload?.case === "sandbox" && payload.value.status?.phase === SandboxPhase.READY
      if (ready && request?.stopOnTerminal === true) done.resolve()
    }
    const watcher = { id: sandbox.id, send: write, end: () => done.resolve() }
    call.signal.addEventListener("abort", () => done.resolve())
    watchers.add(watcher)
    write({ payload: { case: "sandbox", value: wireOf(sandbox) } })
    if (request?.followLogs === true) {
      const tail = request.logTailLines === 0 ? 200 : request.logTailLines
      const since = sandbox.logs.filter((line) => Number(line.timestampMs) >= Number(request.logSinceMs))
      for (const line of since.slice(-tail)) write({ payload: { case: "log", value: line } })
    }
    await done.promise
    watchers.delete(watcher)
  })

export interface ForwardRules {
  /** Authorizes and yields the local port that stands for the target; no port means SSH. */
  readonly dial: (id: string, token: string, port: number | undefined) => number
  /** Where carriers of resumable streams end; without it every relay is a plain one. */
  readonly farEnd: () => FarEnd | undefined
}

export const forwardHandler = ({ dial, farEnd }: ForwardRules): MethodHandler =>
  streamingHandler(OpenShell.method.forwardTcp, async ({ call, incoming, receive }) => {
    const first = await receive()
    const init = first?.payload.case === "init" ? first.payload.value : undefined
    if (init === undefined) throw grpcError(Status.INVALID_ARGUMENT, "first TcpForwardFrame must be init")
    const { target, holdfast } = init
    const end = farEnd()
    const asked = target.case === "tcp" ? target.value.port : undefined
    if (end !== undefined && holdfast?.kind === "exec") {
      if (init.authorizationToken !== "") throw grpcError(Status.INVALID_ARGUMENT, "an exec has no token")
    } else if (init.authorizationToken === "")
      throw grpcError(Status.UNAUTHENTICATED, "authorization_token is required for ForwardTcp")
    const port = holdfast?.kind === "exec" ? 0 : dial(init.sandboxId, init.authorizationToken, asked)
    if (end !== undefined && holdfast !== undefined)
      return end.take(call, incoming, Buffer.from(holdfast.key))
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("error", () =>
        reject(grpcError(Status.UNAVAILABLE, "supervisor relay failed: dial failed")),
      )
    })
    await joinSocket(serverLeg(call, incoming), socket).closed
  })

export const wireOf = (sandbox: DoubleSandbox): MessageInitShape<typeof SandboxSchema> => ({
  metadata: {
    id: sandbox.id,
    name: sandbox.name,
    workspace: sandbox.workspace,
    labels: sandbox.labels,
    createdAtMs: BigInt(sandbox.createdAtMs),
    resourceVersion: sandbox.resourceVersion,
  },
  spec: { command: [...sandbox.command] },
  status: {
    phase: sandbox.phase,
    conditions: [{ type: "Ready", status: "Unknown", reason: sandbox.reason, message: "" }],
  },
})
