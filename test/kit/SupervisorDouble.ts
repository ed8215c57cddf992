/**
 * A supervisor that behaves as OpenShell 0.0.111 does on the wire and knows no extension: one connection per
 * session, relays on that same connection, the target dialled before the result is sent.
 */
import { randomUUID } from "node:crypto"
import { connect, type Socket } from "node:net"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import { OpenShell, RelayFrameSchema, type RelayOpen } from "../../src/wire/openshell-v1/Generated.ts"
import { joinSocket } from "../../src/wire/RelayBridge.ts"
import { clientLeg } from "../../src/wire/RelayLeg.ts"
import { openTyped, type TypedCall } from "./Calls.ts"

export interface DoubleOptions {
  readonly url: string
  readonly sandboxId: string
  /** Read for every call where it is a function. */
  readonly token: string | (() => string)
  readonly instanceId?: string
  /** Speaks the holdfast.v1 extension, so that it is told epochs. */
  readonly extended?: boolean
  /** Follows a gateway that asks it to move, the second session first. */
  readonly moves?: boolean
  /** Where an `ssh` target leads; refused without one. */
  readonly sshPort?: number
  /** Opens the socket of an `ssh` target, in place of `sshPort`. */
  readonly dialSsh?: () => Socket
  /** Sends heartbeats at this interval, or at the gateway's where that is longer. None without it. */
  readonly heartbeatMs?: number
  /** Decides what becomes of a relay before it is dialled: `ignore` never answers. */
  readonly onRelayOpen?: (open: RelayOpen) => "dial" | "ignore" | { readonly refuse: string }
}

/** PING every 10 s even when idle, 20 s for its answer (sheet 1.2). */
const keepalive = { intervalMs: 10_000, timeoutMs: 20_000 }

type SessionCall = TypedCall<
  typeof OpenShell.method.connectSupervisor.input,
  typeof OpenShell.method.connectSupervisor.output
>

export class SupervisorDouble {
  readonly instanceId: string
  readonly options: DoubleOptions
  connection: GrpcConnection | undefined
  session: SessionCall | undefined
  sessionId = ""
  opens: Array<RelayOpen> = []
  /** Addresses that it was asked to move to. */
  moves: Array<string> = []
  #connectionEpoch = 0n
  /** Settles when the session's stream ends, with the reason if it failed. */
  ended: Promise<Error | undefined> = Promise.resolve(undefined)

  constructor(options: DoubleOptions) {
    this.options = options
    this.instanceId = options.instanceId ?? randomUUID()
  }

  /** Opens the session; resolves with the session id once it is accepted, rejects when it is not. */
  async attach(url = this.options.url): Promise<string> {
    const connection = await this.#connect(url)
    try {
      return await this.#open(connection)
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  async #open(connection: GrpcConnection): Promise<string> {
    const session = openTyped(connection, OpenShell.method.connectSupervisor)
    await session.send({
      payload: {
        case: "hello",
        value: {
          sandboxId: this.options.sandboxId,
          instanceId: this.instanceId,
          ...(this.options.extended === true ? { holdfast: { fence: true } } : {}),
          ...(this.options.moves === true
            ? { holdfast: { fence: true, redirect: true, connectionEpoch: ++this.#connectionEpoch } }
            : {}),
        },
      },
    })
    const first = await session.receive()
    if (first?.payload.case === "sessionRejected") throw new Error(`rejected: ${first.payload.value.reason}`)
    if (first?.payload.case !== "sessionAccepted") throw new Error(`unexpected reply: ${first?.payload.case}`)
    this.connection = connection
    this.session = session
    this.sessionId = first.payload.value.sessionId
    const { heartbeatMs } = this.options
    const beat =
      heartbeatMs === undefined
        ? undefined
        : setInterval(
            () => void session.send({ payload: { case: "heartbeat", value: {} } }).catch(() => {}),
            Math.max(heartbeatMs, 1_000 * first.payload.value.heartbeatIntervalSecs),
          )
    this.ended = this.#follow(connection, session)
      .then(
        () => undefined,
        (error: Error) => error,
      )
      .finally(() => clearInterval(beat))
    return this.sessionId
  }

  #connect(url: string): Promise<GrpcConnection> {
    const { token } = this.options
    return GrpcConnection.connect({
      url,
      connectTimeoutMs: 10_000,
      keepalive,
      headers: () => ({ authorization: `Bearer ${typeof token === "string" ? token : token()}` }),
    })
  }

  /** Vanishes as a killed process does. */
  vanish(): void {
    this.connection?.destroy()
  }

  async #follow(connection: GrpcConnection, session: SessionCall): Promise<void> {
    while (true) {
      const message = await session.receive()
      if (message === undefined) return
      if (message.payload.case === "holdfastMove") {
        const { url } = message.payload.value
        this.moves.push(url)
        await this.attach(url === "" ? this.options.url : url)
      }
      if (message.payload.case === "relayOpen") void this.#relay(connection, session, message.payload.value)
    }
  }

  async #relay(connection: GrpcConnection, session: SessionCall, open: RelayOpen): Promise<void> {
    this.opens.push(open)
    const result = (success: boolean, error = "") =>
      session.send({
        payload: { case: "relayOpenResult", value: { channelId: open.channelId, success, error } },
      })
    const decision = this.options.onRelayOpen?.(open) ?? "dial"
    if (decision === "ignore") return
    if (decision !== "dial") return result(false, decision.refuse)
    try {
      const socket = await dial(open, this.options)
      await result(true)
      // After GOAWAY such a client's channel dials anew for new calls, as tonic's does.
      const through = connection.draining ? await this.#connect(this.options.url) : connection
      await carry(through, open.channelId, socket)
      if (through !== connection) through.destroy()
    } catch (error) {
      await result(false, error instanceof Error ? error.message : String(error)).catch(() => {})
    }
  }
}

const dial = (open: RelayOpen, { sshPort, dialSsh }: DoubleOptions): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const tcp = open.target.case === "tcp" ? open.target.value : undefined
    const { host, port } = tcp ?? { host: "127.0.0.1", port: sshPort ?? 0 }
    const socket =
      tcp === undefined && dialSsh !== undefined
        ? dialSsh()
        : connect({ host, port, allowHalfOpen: true, noDelay: true })
    socket.once("connect", () => resolve(socket))
    socket.once("error", reject)
  })

/** The relay's stream on the session's connection, joined with the target. */
export const carry = async (connection: GrpcConnection, channelId: string, socket: Socket): Promise<void> => {
  const call = connection.open(methodPath(OpenShell.method.relayStream))
  await call.write(encodeMessage(RelayFrameSchema, { payload: { case: "init", value: { channelId } } }))
  await call.headers
  await joinSocket(clientLeg(call), socket).closed
}
