/**
 * The relays that gateways ask for. Each dials its target first, says how that went on the session's stream,
 * then opens a `RelayStream` on the same connection and moves bytes. Plain callbacks: this is the path on which
 * a user waits.
 */
import { limits } from "../../domain/Limits.ts"
import type { RelayOpen, RelayVerdict } from "../../domain/Session.ts"
import { Status } from "../../domain/Status.ts"
import type { GrpcConnection } from "../../wire/grpc/GrpcClient.ts"
import { GrpcError, grpcError } from "../../wire/grpc/GrpcError.ts"
import { relayCall } from "../../wire/openshell-v1/Forwards.ts"
import { watchedLeg } from "../../wire/RelayLeg.ts"
import type { Log } from "../Log.ts"
import type { SshServer } from "../ssh/SshServer.ts"
import type { Streams } from "../stream/Streams.ts"
import type { EpochFence } from "./EpochFence.ts"
import { carrierTarget, dialTarget, type Target } from "./RelayTarget.ts"

export interface RelaySession {
  readonly id: string
  readonly connection: GrpcConnection
  readonly sendResult: (result: RelayVerdict) => void
}

interface Relay {
  readonly connection: GrpcConnection
  abort: (reason: string) => void
  /** Set once it carries a stream. */
  move?: (() => void) | undefined
  /** The connection is being left; a carrier that is joined later moves as well. */
  leaving: boolean
  /** When its client was asked to move it, by the monotonic clock. */
  askedAtMs?: number
}

export interface RelaysOptions {
  readonly ssh: SshServer
  readonly streams: Streams
  readonly fence: EpochFence
  readonly log: Log
}

export class Relays {
  readonly #options: RelaysOptions
  readonly #relays = new Map<string, Relay>()

  constructor(options: RelaysOptions) {
    this.#options = options
  }

  /** Channels that are open now, for the next hello. */
  get liveChannelIds(): ReadonlyArray<string> {
    return [...this.#relays.keys()]
  }

  /** Serves one request of a gateway; never throws. */
  async open(session: RelaySession, request: RelayOpen): Promise<void> {
    const { channelId } = request
    const fields = { session: session.id, relay: channelId, service: request.serviceId }
    const known = this.#relays.get(channelId)
    // A gateway that repeats itself on one session is being served; a new session means that its wait began anew.
    if (channelId === "" || known?.connection === session.connection) return
    known?.abort("asked for again by a new session")

    const refusal = this.#refusal(request)
    if (refusal !== undefined) {
      this.#options.log("warn", "relay refused", { ...fields, reason: refusal })
      session.sendResult({ channelId, success: false, error: refusal })
      return
    }
    const cancelled = new AbortController()
    const relay: Relay = {
      connection: session.connection,
      abort: (reason) => cancelled.abort(reason),
      leaving: false,
    }
    this.#relays.set(channelId, relay)
    try {
      await this.#serve(session, request, relay, cancelled.signal, fields)
    } finally {
      if (this.#relays.get(channelId) === relay) this.#relays.delete(channelId)
      if (relay.leaving) this.#moveSome(session.connection)
    }
  }

  abortAll(reason: string): void {
    for (const relay of this.#relays.values()) relay.abort(reason)
  }

  /** Asks the clients of all streams on that connection to take them to another. Plain relays stay. */
  moveStreams(connection: GrpcConnection): void {
    for (const relay of this.#relays.values()) if (relay.connection === connection) relay.leaving = true
    this.#moveSome(connection)
  }

  /**
   * A few at a time, the next when one of them has gone: what runs on works meanwhile, and would wait if all were
   * opened anew at once.
   */
  #moveSome(connection: GrpcConnection): void {
    const nowMs = performance.now()
    const leaving = [...this.#relays.values()].filter(
      (relay) => relay.leaving && relay.connection === connection,
    )
    let underWay = leaving.filter(
      ({ askedAtMs = Number.NEGATIVE_INFINITY }) => nowMs - askedAtMs < limits.supervisorMoveMs,
    ).length
    for (const relay of leaving) {
      if (relay.move === undefined || relay.askedAtMs !== undefined) continue
      if (underWay >= limits.supervisorMovesAtOnce) return
      underWay += 1
      relay.askedAtMs = nowMs
      relay.move()
      setTimeout(() => this.#moveSome(connection), limits.supervisorMoveMs).unref()
    }
  }

  #refusal(request: RelayOpen): string | undefined {
    if (this.#relays.size >= limits.supervisorRelays) {
      return `this sandbox serves ${limits.supervisorRelays} relays already`
    }
    return this.#options.fence.admit(request.fence?.epoch)
  }

  async #serve(
    session: RelaySession,
    request: RelayOpen,
    relay: Relay,
    cancelled: AbortSignal,
    fields: Record<string, string>,
  ): Promise<void> {
    const { channelId } = request
    const { log } = this.#options
    const { ssh, streams } = this.#options
    const target =
      request.fence?.stream === undefined
        ? await dialTarget(request.target, ssh, cancelled)
        : carrierTarget(request, streams)
    if (typeof target === "string") {
      log("info", "relay target not reached", { ...fields, reason: target })
      session.sendResult({ channelId, success: false, error: target })
      return
    }
    session.sendResult({ channelId, success: true, error: "" })
    const outcome = await this.#join(session, channelId, target, relay, cancelled)
    log("debug", "relay closed", { ...fields, ...outcome })
  }

  async #join(
    { connection }: RelaySession,
    channelId: string,
    target: Target,
    relay: Relay,
    cancelled: AbortSignal,
  ): Promise<Record<string, string | number>> {
    const claim = new AbortController()
    const timer = setTimeout(
      () => claim.abort(grpcError(Status.DEADLINE_EXCEEDED, "the gateway did not answer the relay")),
      limits.relayClaimTimeoutMs,
    )
    cancelled.addEventListener("abort", () => claim.abort(), { once: true })
    try {
      const call = connection.open(relayCall.path, { signal: claim.signal })
      await call.write(relayCall.encodeRequest(channelId))
      await call.headers
      clearTimeout(timer)
      // A gateway that froze would hold the session until the keepalive gives up, half a minute later.
      const joined = target.join(watchedLeg(call, () => void connection.probe(limits.resumeProbeTimeoutMs)))
      relay.abort = joined.abort
      relay.move = joined.move
      if (relay.leaving) this.#moveSome(connection)
      return await joined.closed
    } catch (cause) {
      clearTimeout(timer)
      target.abandon()
      return { reason: cause instanceof GrpcError ? cause.message : String(cause) }
    }
  }
}
