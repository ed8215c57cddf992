/**
 * A supervisor of our own: its session loop in short, its real epoch fence and pauses, its real stream server.
 * What a relay carries is echoed.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf"
import { limits } from "../../../src/domain/Limits.ts"
import type { ResumableDuplex } from "../../../src/stream/ResumableDuplex.ts"
import { StreamServer } from "../../../src/stream/StreamServer.ts"
import { failuresAfter, reconnectPauseMs } from "../../../src/supervisor/session/Backoff.ts"
import { EpochFence } from "../../../src/supervisor/session/EpochFence.ts"
import { encodeFrame } from "../../../src/wire/grpc/Framing.ts"
import { MessageReader } from "../../../src/wire/grpc/MessageReader.ts"
import {
  GatewayMessageSchema,
  type RelayOpen,
  type SupervisorMessage,
  SupervisorMessageSchema,
} from "../../../src/wire/openshell-v1/Generated.ts"
import { RelayDuplex } from "../../../src/wire/RelayDuplex.ts"
import type { Cluster } from "../cluster/Cluster.ts"
import type { Replica } from "../cluster/Replica.ts"
import { Process } from "../kernel/Process.ts"
import { callerLeg, connected, type SimStream } from "../network/SimStream.ts"
import { smallSettings } from "./Settings.ts"

const policy = {
  baseMs: limits.reconnectBaseMs,
  capMs: 4_000,
  adviceMs: limits.reconnectAdviceMs,
  spreadMs: limits.reconnectSpreadMs,
}

export interface SupervisorOptions {
  readonly sandboxId: string
  readonly instanceId: string
  /** What was sent on a stream was consumed by the client, says the stream. */
  readonly consumed: (target: string) => void
  /** A stream has ended at this end. */
  readonly ended: (target: string, outcome: string) => void
}

export class SimSupervisor {
  readonly sandboxId: string
  readonly instanceId: string
  readonly process: Process
  readonly streams: StreamServer
  /** The replica that accepted the current session. */
  session: { readonly replica: Replica; readonly stream: SimStream; accepted: boolean } | undefined
  readonly #cluster: Cluster
  readonly #options: SupervisorOptions
  readonly #fence = new EpochFence()
  readonly #startedAtMs: number
  #connections = 0
  #failures = 0
  #relays = 0

  constructor(cluster: Cluster, options: SupervisorOptions) {
    this.#cluster = cluster
    this.#options = options
    this.sandboxId = options.sandboxId
    this.instanceId = options.instanceId
    this.process = new Process(cluster.kernel, options.instanceId)
    this.#startedAtMs = this.process.wallMs
    this.streams = new StreamServer({
      settings: smallSettings,
      clock: this.process.streamClock,
      core: cluster.rules.core,
      onStream: (incoming) => this.#serve(incoming.target, incoming.accept()),
    })
    this.#connect()
  }

  /** Relays that this end carries. */
  get relays(): number {
    return this.#relays
  }

  #serve(target: string, duplex: ResumableDuplex): void {
    duplex.pipe(duplex)
    duplex.once("finish", () => this.#options.consumed(target))
    void duplex.outcome.then((outcome) => this.#options.ended(target, outcome._tag))
  }

  /** A session at whatever replica the balancer names. */
  #connect(): void {
    const replica = this.process.random.pick([...this.#cluster.replicas.values()])
    if (replica === undefined) {
      this.#again(false, 0)
      return
    }
    const beganMs = this.process.kernel.nowMs
    this.#connections += 1
    const [near, far] = connected(this.#cluster.network, this.process, replica.process)
    const session = { replica, stream: near, accepted: false }
    this.session = session
    this.#cluster.network.pass(this.process, replica.process, () =>
      replica.acceptSession(this.sandboxId, far),
    )
    this.#say(near, {
      case: "hello",
      value: {
        $typeName: "openshell.v1.SupervisorHello",
        sandboxId: this.sandboxId,
        instanceId: this.instanceId,
        holdfast: {
          $typeName: "holdfast.v1.SupervisorCapabilities",
          connectionEpoch: BigInt(this.#connections),
          instanceStartedAtMs: BigInt(this.#startedAtMs),
          resume: true,
          redirect: false,
          fence: true,
          exec: true,
          configPush: false,
          liveChannelIds: [],
        },
      },
    })
    const giveUp = this.process.after(limits.supervisorAcceptMs, () => near.destroy())
    void this.#listen(session, giveUp).then(() => {
      giveUp()
      near.destroy()
      if (this.session === session) this.session = undefined
      this.#again(session.accepted, this.process.kernel.nowMs - beganMs)
    })
  }

  #again(accepted: boolean, livedMs: number): void {
    this.#failures = failuresAfter(this.#failures, { accepted, livedMs }, limits.reconnectResetMs)
    const pauseMs = reconnectPauseMs(policy, this.#failures, this.process.random.next(), {})
    this.process.after(pauseMs, () => this.#connect())
  }

  async #listen(
    session: { readonly replica: Replica; readonly stream: SimStream; accepted: boolean },
    accepted: () => void,
  ): Promise<void> {
    const reader = new MessageReader(session.stream, limits.responseMessageBytes)
    try {
      for (;;) {
        const bytes = await reader.read()
        if (bytes === undefined) return
        const { payload } = fromBinary(GatewayMessageSchema, bytes)
        switch (payload.case) {
          case "sessionAccepted":
            accepted()
            session.accepted = true
            this.#fence.observe(Number(payload.value.holdfast?.epoch ?? 0n))
            this.process.say(`session ${payload.value.sessionId} accepted by ${session.replica.incarnation}`)
            break
          case "sessionRejected":
            this.process.say(`session rejected: ${payload.value.reason}`)
            return
          case "relayOpen":
            this.#open(session, payload.value)
            break
          default:
            break
        }
      }
    } catch {
      // The session is lost.
    }
  }

  #open(
    { replica, stream }: { readonly replica: Replica; readonly stream: SimStream },
    open: RelayOpen,
  ): void {
    const { channelId, holdfast } = open
    const refusal = this.#fence.admit(Number(holdfast?.epoch ?? 0n))
    this.process.say(`relay ${channelId} asked for under epoch ${holdfast?.epoch}: ${refusal ?? "dials"}`)
    if (refusal !== undefined) {
      this.#result(stream, channelId, refusal)
      return
    }
    this.process.after(this.process.random.between(0, 3), () => {
      const [near, far] = connected(this.#cluster.network, this.process, replica.process)
      this.#cluster.network.pass(this.process, replica.process, () =>
        replica.acceptRelay(this.sandboxId, channelId, far),
      )
      near.headers.then(
        () => this.#carry(near, holdfast?.stream === undefined ? undefined : holdfast),
        () => near.destroy(),
      )
    })
  }

  #carry(near: SimStream, fence: RelayOpen["holdfast"]): void {
    this.#relays += 1
    near.once("close", () => {
      this.#relays -= 1
    })
    const duplex = new RelayDuplex(callerLeg(near))
    duplex.on("error", () => undefined)
    if (fence?.stream === undefined) duplex.pipe(duplex)
    else this.streams.accept(duplex, fence.binding, Buffer.from(fence.stream.key))
  }

  #result(stream: SimStream, channelId: string, error: string): void {
    this.#say(stream, {
      case: "relayOpenResult",
      value: { $typeName: "openshell.v1.RelayOpenResult", channelId, success: error === "", error },
    })
  }

  #say(stream: SimStream, payload: SupervisorMessage["payload"]): void {
    if (stream.destroyed || stream.writableEnded) return
    stream.write(encodeFrame(toBinary(SupervisorMessageSchema, create(SupervisorMessageSchema, { payload }))))
  }
}
