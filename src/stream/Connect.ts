/** The client's end: a stream that opens carriers through whichever replica answers. */
import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { Carrier } from "./Carrier.ts"
import { type StreamClock, systemClock } from "./Clock.ts"
import { type Core, makeCore } from "./core/Core.ts"
import { defaultSettings, type StreamSettings } from "./core/State.ts"
import { StreamEngine } from "./Engine.ts"
import { protocolVersion, type StreamKind } from "./Frames.ts"
import { StreamRefused } from "./Outcome.ts"
import { newIdentity, type StreamIdentity, signHello } from "./Proof.ts"
import { ResumableDuplex } from "./ResumableDuplex.ts"

export interface ConnectOptions {
  /**
   * Opens a carrier to the server: any reliable, ordered Duplex that is not flowing yet. Attempts count from 1
   * after every loss; another attempt is the occasion for another replica. A rejection with `StreamRefused` ends
   * the stream, any other is followed by a new attempt while the resume window lasts.
   */
  readonly openCarrier: (attempt: number, signal: AbortSignal) => Promise<Duplex>
  readonly kind: StreamKind
  /** What the server shall connect the stream to; its meaning depends on the kind. */
  readonly target: string
  /** Made before the stream when whoever opens its carriers must know their key (`carrierKey`). */
  readonly identity?: StreamIdentity
  readonly settings?: Partial<StreamSettings>
  /** Deadline of an attempt to open a carrier for a resume. */
  readonly carrierTimeoutMs?: number
  readonly clock?: StreamClock
  /** In [0, 1); spreads the attempts of many streams that lose one replica. */
  readonly random?: () => number
  readonly core?: Core
}

/** The upper end of the pause before an attempt; the pause is drawn evenly below it. */
export const pauseBoundMs = (attempt: number): number =>
  Math.min(limits.resumeBackoffCapMs, limits.resumeBackoffBaseMs * 2 ** Math.min(attempt - 1, 30))

/** One attempt after the other, each with a pause and a deadline. */
class CarrierOpener {
  readonly #options: ConnectOptions
  readonly #clock: StreamClock
  readonly #random: () => number
  #cancel: () => void = () => undefined
  #first = true

  constructor(options: ConnectOptions, clock: StreamClock) {
    this.#options = options
    this.#clock = clock
    this.#random = options.random ?? Math.random
  }

  stop(): void {
    this.#cancel()
  }

  open(
    attempt: number,
    timeoutMs: number,
    opened: (carrier: Carrier) => void,
    failed: (cause: unknown) => void,
  ): void {
    const pauseMs = this.#first ? 0 : Math.floor(this.#random() * pauseBoundMs(attempt))
    this.#first = false
    if (pauseMs === 0) this.#attempt(attempt, timeoutMs, opened, failed)
    else this.#cancel = this.#clock.after(pauseMs, () => this.#attempt(attempt, timeoutMs, opened, failed))
  }

  #attempt(
    attempt: number,
    timeoutMs: number,
    opened: (carrier: Carrier) => void,
    failed: (cause: unknown) => void,
  ): void {
    const controller = new AbortController()
    let settled = false
    const settle = (then?: () => void): void => {
      if (settled) return
      settled = true
      cancelTimer()
      then?.()
    }
    const cancelTimer = this.#clock.after(timeoutMs, () => {
      settle(() => failed(new Error(`no carrier within ${timeoutMs} ms`)))
      controller.abort()
    })
    this.#cancel = () => {
      settle()
      controller.abort()
    }
    const opening = (async () => this.#options.openCarrier(attempt, controller.signal))()
    opening.then(
      (duplex) => {
        if (settled) duplex.on("error", () => undefined).destroy()
        else settle(() => opened(new Carrier(duplex, this.#clock)))
      },
      (cause: unknown) => settle(() => failed(cause)),
    )
  }
}

/** A new stream. Usable at once: writes wait until a carrier is there; `opened` tells whether it was taken. */
export const connect = (options: ConnectOptions): ResumableDuplex => {
  const { kind, target } = options
  const clock = options.clock ?? systemClock
  const settings = { ...defaultSettings, ...options.settings }
  const carrierTimeoutMs = options.carrierTimeoutMs ?? limits.resumeCarrierMs
  const identity = options.identity ?? newIdentity()
  const opener = new CarrierOpener(options, clock)
  const failed = (engine: StreamEngine, cause: unknown): void =>
    engine.dispatch({
      type: "openFailed",
      text: cause instanceof Error ? cause.message : String(cause),
      refused: cause instanceof StreamRefused ? cause.code : undefined,
    })
  return new ResumableDuplex((hooks) => {
    const engine: StreamEngine = new StreamEngine({
      core: options.core ?? makeCore(),
      role: "client",
      settings,
      clock,
      hooks,
      hello: (offer) =>
        signHello(identity, { ...offer, version: protocolVersion, id: identity.id, kind, target }),
      open: (attempt) =>
        opener.open(
          attempt,
          engine.state.welcomed ? carrierTimeoutMs : settings.openMs,
          (carrier) => engine.opened(carrier),
          (cause) => failed(engine, cause),
        ),
      released: () => opener.stop(),
    })
    const tooLong = Buffer.byteLength(target) > limits.resumeTargetBytes
    const text = "the target of the stream is too long"
    // The stream is whole only after this function returned.
    queueMicrotask(() =>
      engine.dispatch(tooLong ? { type: "openFailed", text, refused: "target" } : { type: "start" }),
    )
    return engine
  })
}
