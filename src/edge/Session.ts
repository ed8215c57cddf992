/** One supervisor session on this replica: its stream, and the relays asked of it that are not claimed yet. */
import type { Writable } from "node:stream"
import { limits } from "../domain/Limits.ts"
import type { RelayTarget, StreamCarrier } from "../domain/Sandbox.ts"
import type { GatewayMessage, SessionAdvice, SupervisorCapabilities } from "../domain/Session.ts"
import { encodeFrame } from "../wire/grpc/Framing.ts"
import type { ServerCall } from "../wire/grpc/ServerCall.ts"

/** What a session needs of the call that carries it. */
export type SessionCall = Pick<ServerCall, "sendHeaders" | "finish"> & { readonly stream: Writable }

/** The bytes of a message on the wire that the supervisor speaks. */
export type EncodeGatewayMessage = (message: GatewayMessage) => Uint8Array

/** A move that was asked of the supervisor. */
export interface AskedMove {
  /** Incarnation of the replica that it was sent to. */
  readonly to: string
  readonly reason: string
  /** Monotonic. */
  readonly atMs: number
  /** The supervisor did not go in time. */
  readonly failed?: boolean
}

export class Session {
  readonly sandboxId: string
  readonly sessionId: string
  /** The supervisor speaks the holdfast.v1 extension. */
  readonly extended: boolean
  readonly #capabilities: SupervisorCapabilities | undefined
  readonly #call: SessionCall
  readonly #encode: EncodeGatewayMessage
  /** The last move asked of it; undefined as long as none was. */
  asked: AskedMove | undefined
  /** When it was accepted, by the monotonic clock; undefined before. */
  acceptedAtMs: number | undefined
  /** It took the place of a session that still lived: somebody sent it here. */
  moved = false
  /** The owner ended it: it knows of the end. */
  replaced = false
  #retired = false
  #accepted = false
  #queued = 0
  #held: Array<GatewayMessage> = []
  #advisedSpreadMs = 0
  #heartbeatDueMs = 0

  constructor(
    sandboxId: string,
    sessionId: string,
    capabilities: SupervisorCapabilities | undefined,
    call: SessionCall,
    encode: EncodeGatewayMessage,
  ) {
    this.sandboxId = sandboxId
    this.sessionId = sessionId
    this.extended = capabilities !== undefined
    this.#capabilities = capabilities
    this.#call = call
    this.#encode = encode
  }

  /**
   * Sends the acceptance, then whatever the owner asked in the meantime. `spreadMs`: over how long the sessions of
   * this replica should come back if they are lost together.
   */
  accept(epoch: number, replica: string, spreadMs: number): void {
    this.#advisedSpreadMs = spreadMs
    this.#write({
      _tag: "Accepted",
      sessionId: this.sessionId,
      heartbeatMs: this.heartbeatMs,
      ...(this.extended
        ? {
            terms: {
              epoch,
              replica,
              reconnectDelayMs: 0,
              fence: true,
              redirectUrl: "",
              advice: adviceOf(spreadMs),
            },
          }
        : {}),
    })
    this.#accepted = true
    for (const message of this.#held) this.#write(message)
    this.#held = []
  }

  /** The supervisor opens another session when it is asked to. */
  get redirects(): boolean {
    return this.#capabilities?.redirect ?? false
  }

  /** On its way out: nothing new may be asked of it. */
  get retired(): boolean {
    return this.#retired
  }

  retire(): void {
    this.#retired = true
  }

  /** Asks for another session, at that URL or, where it is empty, at the configured address. */
  move(url: string, asked: AskedMove): boolean {
    this.asked = asked
    return this.#send({ _tag: "Move", url, reason: asked.reason })
  }

  /** Tells the supervisor to read its configuration again; one that does not know the word polls. */
  configChanged(spreadMs: number): void {
    if (this.#capabilities?.configPush === true) this.#send({ _tag: "ConfigChanged", spreadMs })
  }

  /** Whether a relay may be a carrier of such a stream, which then ends in the supervisor. */
  serves(kind: StreamCarrier["kind"]): boolean {
    const { resume = false, exec = false } = this.#capabilities ?? {}
    return resume && (kind !== "exec" || exec)
  }

  /** False when the supervisor does not read what it is sent. */
  openRelay(
    channelId: string,
    target: RelayTarget,
    serviceId: string,
    epoch: number,
    stream?: StreamCarrier,
  ): boolean {
    return this.#send({
      _tag: "RelayOpen",
      channelId,
      serviceId,
      target,
      ...(this.extended
        ? { fence: { epoch, binding: stream?.binding ?? "", ...(stream === undefined ? {} : { stream }) } }
        : {}),
    })
  }

  /**
   * `delayMs`: how long the supervisor should stay away; 0 leaves it to the supervisor. `redirectUrl`: which replica
   * to ask instead, if any.
   */
  reject(reason: string, delayMs = 0, redirectUrl = ""): void {
    this.#write({
      _tag: "Rejected",
      reason,
      ...(this.extended && (delayMs > 0 || redirectUrl !== "")
        ? { terms: { epoch: 0, replica: "", reconnectDelayMs: delayMs, fence: true, redirectUrl } }
        : {}),
    })
    this.#call.finish()
  }

  /** Time between heartbeats in both directions. */
  get heartbeatMs(): number {
    return this.extended ? limits.extendedHeartbeatMs : limits.heartbeatIntervalMs
  }

  /** Sends a heartbeat if one is due, with advice that changed. False when the supervisor does not read. */
  heartbeat(nowMs: number, spreadMs: number): boolean {
    if (!this.#accepted) return true
    if (this.#heartbeatDueMs === 0) this.#heartbeatDueMs = nowMs + this.heartbeatMs
    if (nowMs < this.#heartbeatDueMs) return true
    this.#heartbeatDueMs = nowMs + this.heartbeatMs
    const changed = this.extended && spreadMs !== this.#advisedSpreadMs
    this.#advisedSpreadMs = spreadMs
    return this.#send(changed ? { _tag: "Heartbeat", advice: adviceOf(spreadMs) } : plainHeartbeat)
  }

  /** Ends the stream without an error, as OpenShell does when a newer session takes over. */
  end(): void {
    this.#call.finish()
  }

  #send(message: GatewayMessage): boolean {
    if (this.#queued + this.#held.length >= limits.sessionOutboundMessages) return false
    if (this.#accepted) this.#write(message)
    else this.#held.push(message)
    return true
  }

  #write(message: GatewayMessage): void {
    const { stream } = this.#call
    if (stream.destroyed || stream.writableEnded) return
    this.#queued += 1
    stream.write(encodeFrame(this.#encode(message)), () => {
      this.#queued -= 1
    })
  }
}

const plainHeartbeat: GatewayMessage = { _tag: "Heartbeat" }

const adviceOf = (reconnectSpreadMs: number): SessionAdvice => ({
  reconnectSpreadMs,
  configPollMs: limits.configPollAdviceMs,
})
