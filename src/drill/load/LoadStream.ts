/** One stream of the load: what its kind gets to work with, and what it must tell. */
import { Effect, Random, type Scope } from "effect"
import type { GatewayClientService } from "../../client/GatewayClient.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import type { StallMeter } from "../check/StallMeter.ts"
import type { Tally } from "./Tally.ts"

export const kinds = ["echo", "shell", "exec", "output", "http", "websocket", "upload", "download"] as const
export type Kind = (typeof kinds)[number]

/** A sandbox of the drill with its servers. */
export interface Place {
  readonly sandbox: Sandbox
  /** Ports on the sandbox's loopback. */
  readonly tcpPort: number
  readonly webPort: number
}

/** How hard one stream works. */
export interface Pace {
  /** Between two pieces of a stream, or two operations. */
  readonly intervalMs: number
  readonly pieceBytes: number
  readonly fileBytes: number
  /** How long one exec prints, on average. */
  readonly outputMs: number
}

export interface StreamContext {
  /** Distinct among the streams of a drill; seeds their content. */
  readonly seed: number
  readonly client: GatewayClientService
  readonly place: Place
  readonly pace: Pace
  readonly tally: Tally
  readonly stall: StallMeter
  /** Local address of a forward to a port of the sandbox, open as long as the stream. */
  readonly forwardTo: (remotePort: number) => Effect.Effect<number, StreamBroken, Scope.Scope>
  /** What forwards last said of a connection that failed, once. */
  readonly takeReason: () => string | undefined
  /** Scratch directory of this stream, on this machine. */
  readonly directory: string
  /** How long a short operation took, succeeded or not. */
  readonly latency: (ms: number) => void
  /** Once true, the stream sends no more, ends in order and checks itself. */
  readonly stopping: () => boolean
}

/** A stream or an operation ended otherwise than it should; `text` is what a client got to read. */
export class StreamBroken {
  readonly _tag = "StreamBroken"
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

export const brokenBy = (cause: unknown): StreamBroken =>
  cause instanceof StreamBroken
    ? cause
    : new StreamBroken(
        cause instanceof Error ? `${tagOf(cause)}${cause.message}` : `broke off: ${String(cause)}`,
      )

const tagOf = (error: Error): string =>
  "_tag" in error && typeof error._tag === "string" ? `${error._tag}: ` : ""

/**
 * One life of a stream: opens, works until it may stop, ends in order and checks. Long-lived kinds do that once
 * in a drill without faults; the load starts a broken one again and counts it.
 */
export type StreamLife = (context: StreamContext) => Effect.Effect<void, StreamBroken, Scope.Scope>

/** Drawn from a half to one and a half: streams that begin together would work in step for ever, as no users do. */
const spread: Effect.Effect<number> = Effect.map(Random.next, (drawn) => 0.5 + drawn)

/** The pause before the next operation; `intervals`: its mean, in those of the pace. */
export const rest = ({ pace }: StreamContext, intervals: number): Effect.Effect<void> =>
  Effect.flatMap(spread, (part) => Effect.sleep(pace.intervalMs * intervals * part))

/** How many pieces a command prints. */
export const outputPieces = ({ pace }: StreamContext): Effect.Effect<number> =>
  Effect.map(spread, (part) => Math.max(1, Math.round((pace.outputMs * part) / pace.intervalMs)))
