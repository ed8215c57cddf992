/** A gateway of one process without a cluster behind it: what a supervisor sees of the wire, and nothing else. */
import { randomUUID } from "node:crypto"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { createGrpcServer, type MethodHandler } from "../../src/wire/grpc/GrpcServer.ts"
import { decodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import {
  OpenShell,
  RelayFrameSchema,
  type RelayOpen,
  type SandboxLogLine,
  type SupervisorHello,
} from "../../src/wire/openshell-v1/Generated.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { serverLeg } from "../../src/wire/RelayLeg.ts"
import { streamingHandler, unaryHandler } from "../kit/Calls.ts"

export interface Terms {
  readonly epoch?: bigint
  readonly reconnectDelayMs?: number
  readonly redirectUrl?: string
}

export interface DoubleSession {
  readonly hello: SupervisorHello
  readonly authorization: string
  readonly connectionId: string
  readonly heartbeats: () => number
  /** The supervisor's answer, and its stream once it has arrived. */
  readonly openRelay: (
    target: RelayOpen["target"],
    options?: {
      readonly epoch?: bigint
      readonly channelId?: string
      /** Asks for a carrier of a stream. */
      readonly stream?: { readonly key: Uint8Array; readonly kind: string; readonly binding: string }
    },
  ) => Promise<RelayDuplex>
  /** Ends the session's stream and leaves the connection alone. */
  readonly end: () => void
  readonly destroyConnection: () => void
  /** Asks the supervisor to open another session first. */
  readonly move: (url?: string) => void
  readonly ended: Promise<void>
}

interface Waiting {
  readonly resolve: (duplex: RelayDuplex) => void
  readonly reject: (error: Error) => void
  readonly connectionId: string
}

export class GatewayDouble {
  readonly sessions: DoubleSession[] = []
  readonly exits: Array<{ readonly instanceId: string; readonly exitCode: number }> = []
  readonly logs: SandboxLogLine[] = []
  readonly configCalls: string[] = []
  terms: Terms = {}
  /** When hellos were refused. */
  readonly rejections: number[] = []
  /** A text refuses every hello. */
  rejection: string | undefined
  providerRevision = 1n
  providerEnvironment: Record<string, string> = {}
  refreshedToken = ""
  #hold: { readonly arrived: () => void; readonly released: Promise<void> } | undefined
  failures: { config?: number; exit?: number; logs?: number } = {}
  readonly #waiting = new Map<string, Waiting>()
  readonly #server = createGrpcServer({ router: (path) => this.#methods.get(path), onError: () => undefined })
  readonly #methods: ReadonlyMap<string, MethodHandler>

  constructor() {
    const { method } = OpenShell
    this.#methods = new Map<string, MethodHandler>([
      [methodPath(method.connectSupervisor), this.#connectSupervisor()],
      [methodPath(method.relayStream), this.#relayStream()],
      [methodPath(method.pushSandboxLogs), this.#pushLogs()],
      [
        methodPath(method.getSandboxConfig),
        unaryHandler(method.getSandboxConfig, async (_request, call) => {
          this.configCalls.push(String(call.metadata.authorization))
          if (this.failures.config !== undefined)
            throw grpcError(this.failures.config as 5, "sandbox not found")
          return { version: 1, providerEnvRevision: this.providerRevision }
        }),
      ],
      [
        methodPath(method.getSandboxProviderEnvironment),
        unaryHandler(method.getSandboxProviderEnvironment, async () => ({
          environment: this.providerEnvironment,
          providerEnvRevision: this.providerRevision,
        })),
      ],
      [
        methodPath(method.refreshSandboxToken),
        unaryHandler(method.refreshSandboxToken, async () => ({ token: this.refreshedToken })),
      ],
      [
        methodPath(method.reportMainProcessExit),
        unaryHandler(method.reportMainProcessExit, async ({ instanceId, exitCode }) => {
          if ((this.failures.exit ?? 0) > 0) {
            this.failures.exit = (this.failures.exit ?? 0) - 1
            throw grpcError(Status.UNAVAILABLE, "not now")
          }
          this.exits.push({ instanceId, exitCode })
          return {}
        }),
      ],
    ])
  }

  /** Hellos from now on wait for their answer. */
  holdHellos(): { readonly arrived: Promise<void>; readonly release: () => void } {
    const arrived = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    this.#hold = { arrived: arrived.resolve, released: released.promise }
    return { arrived: arrived.promise, release: released.resolve }
  }

  async listen(port = 0): Promise<string> {
    const address = await this.#server.listen(port, "127.0.0.1")
    return `http://127.0.0.1:${address.port}`
  }

  close(): Promise<void> {
    return this.#server.close(0)
  }

  #connectSupervisor(): MethodHandler {
    return streamingHandler(OpenShell.method.connectSupervisor, async (typed) => {
      const first = await typed.receive()
      if (first?.payload.case !== "hello")
        throw grpcError(Status.INVALID_ARGUMENT, "expected SupervisorHello")
      this.#hold?.arrived()
      await this.#hold?.released
      const holdfast = { replica: "double", fence: true, ...this.terms }
      if (this.rejection !== undefined) {
        this.rejections.push(performance.now())
        await typed.send({
          payload: { case: "sessionRejected", value: { reason: this.rejection, holdfast } },
        })
        return
      }
      await typed.send({
        payload: {
          case: "sessionAccepted",
          value: { sessionId: randomUUID(), heartbeatIntervalSecs: 1, holdfast },
        },
      })
      const over = Promise.withResolvers<void>()
      const closed = Promise.withResolvers<void>()
      const connectionId = typed.call.connection.id
      let heartbeats = 0
      this.sessions.push({
        hello: first.payload.value,
        authorization: String(typed.call.metadata.authorization),
        connectionId,
        heartbeats: () => heartbeats,
        end: over.resolve,
        move: (url = "") =>
          void typed.send({ payload: { case: "holdfastMove", value: { url, reason: "test" } } }),
        destroyConnection: () => typed.call.connection.session.destroy(),
        ended: closed.promise,
        openRelay: (target, options = {}) => {
          const channelId = options.channelId ?? randomUUID()
          return new Promise((resolve, reject) => {
            this.#waiting.set(channelId, { resolve, reject, connectionId })
            const { epoch = 0n, stream } = options
            const holdfast =
              stream === undefined
                ? { epoch }
                : { epoch, binding: stream.binding, stream: { key: stream.key, kind: stream.kind } }
            void typed.send({ payload: { case: "relayOpen", value: { channelId, target, holdfast } } })
          })
        },
      })
      const read = async (): Promise<void> => {
        for (let message = await typed.receive(); message !== undefined; message = await typed.receive()) {
          const { payload } = message
          if (payload.case === "heartbeat") heartbeats += 1
          if (payload.case === "relayOpenResult" && !payload.value.success) {
            this.#waiting.get(payload.value.channelId)?.reject(new Error(payload.value.error))
            this.#waiting.delete(payload.value.channelId)
          }
        }
      }
      await Promise.race([over.promise, read().catch(() => undefined)])
      closed.resolve()
    })
  }

  #relayStream(): MethodHandler {
    return {
      kind: "streaming",
      handle: async (call, incoming) => {
        const bytes = await incoming.read()
        const frame = bytes === undefined ? undefined : decodeMessage(RelayFrameSchema, bytes)
        const channelId = frame?.payload.case === "init" ? frame.payload.value.channelId : ""
        const waiting = this.#waiting.get(channelId)
        this.#waiting.delete(channelId)
        if (waiting === undefined) throw grpcError(Status.NOT_FOUND, "unknown or expired relay channel")
        if (waiting.connectionId !== call.connection.id) {
          waiting.reject(new Error("the relay came on another connection than its session"))
          throw grpcError(Status.NOT_FOUND, "unknown or expired relay channel")
        }
        const duplex = new RelayDuplex(serverLeg(call, incoming))
        duplex.on("error", () => undefined)
        waiting.resolve(duplex)
        await new Promise<void>((resolve) => duplex.once("close", resolve))
      },
    }
  }

  #pushLogs(): MethodHandler {
    return streamingHandler(OpenShell.method.pushSandboxLogs, async (typed) => {
      for (let message = await typed.receive(); message !== undefined; message = await typed.receive()) {
        if (this.failures.logs !== undefined) throw grpcError(this.failures.logs as 16, "no")
        this.logs.push(...message.logs)
      }
    })
  }
}
