import type { Carrier } from "./Carrier.ts"
import type { StreamClock } from "./Clock.ts"
import type { Core } from "./core/Core.ts"
import type { Command, Event, Offer, StreamSettings, StreamState } from "./core/State.ts"
import type { HelloFrame } from "./Frames.ts"
import type { Outcome } from "./Outcome.ts"

/** What one end of a stream does for its application and its surroundings. */
export interface EngineHooks {
  readonly deliver: (bytes: Buffer) => void
  readonly deliverEnd: () => void
  readonly writable: () => void
  readonly sentAll: () => void
  readonly opened: () => void
  readonly suspended: () => void
  readonly resumed: (stallMs: number) => void
  readonly moved: () => void
  readonly ended: (outcome: Outcome) => void
  /** Nothing is left to tell the peer. */
  readonly released: () => void
}

export interface EngineOptions {
  readonly core: Core
  readonly role: StreamState["role"]
  readonly settings: StreamSettings
  readonly clock: StreamClock
  readonly hooks: EngineHooks
  readonly released: () => void
  /** Client only. */
  readonly open?: (attempt: number) => void
  readonly hello?: (offer: Offer) => HelloFrame
}

/** Deadlines that may pass at the same moment; more are looked at with the next timer. */
const ticksAtOnce = 16

/** Drives the core of one end over its carriers. Every event is applied at once, its commands in order. */
export class StreamEngine {
  readonly #options: EngineOptions
  readonly #carriers = new Map<number, Carrier>()
  readonly #commands: Command[] = []
  #state: StreamState
  #lastCarrier = 0
  #running = false
  #timer: { readonly atMs: number; readonly cancel: () => void } | undefined

  constructor(options: EngineOptions) {
    this.#options = options
    this.#state = options.core.initial(options.role, options.clock.nowMs(), options.settings)
  }

  get state(): StreamState {
    return this.#state
  }

  /** How many bytes a `write` may carry now. */
  get room(): number {
    return this.#options.core.room(this.#state)
  }

  dispatch(event: Event): void {
    this.#step(event)
    this.#settle()
  }

  /** Client: a carrier was opened. */
  opened(carrier: Carrier): void {
    const id = this.#add(carrier)
    this.dispatch({ type: "carrierOpened", carrier: id })
    this.#listen(id, carrier)
  }

  /** Server: a carrier whose hello was verified. */
  attach(carrier: Carrier, hello: Offer): void {
    const id = this.#add(carrier)
    this.#listen(id, carrier)
    this.dispatch({ type: "attach", carrier: id, hello })
  }

  /** Whether the stream is on this carrier. */
  uses(carrier: Carrier): boolean {
    const { current } = this.#state
    return current !== undefined && this.#carriers.get(current.id) === carrier
  }

  #add(carrier: Carrier): number {
    this.#lastCarrier += 1
    this.#carriers.set(this.#lastCarrier, carrier)
    return this.#lastCarrier
  }

  #listen(id: number, carrier: Carrier): void {
    // The core may have closed it already.
    if (this.#carriers.get(id) !== carrier) return
    carrier.listen({
      frame: (frame) => this.#step({ type: "frame", carrier: id, frame }),
      malformed: (text) => this.#step({ type: "malformed", carrier: id, text }),
      idle: () => this.#settle(),
      drain: () => this.#settle(),
      closed: () => {
        this.#carriers.delete(id)
        this.dispatch({ type: "carrierClosed", carrier: id })
      },
    })
  }

  #step(event: Event): void {
    const { core, clock } = this.#options
    const [state, commands] = core.step(this.#state, event, clock.nowMs())
    this.#state = state
    for (const command of commands) this.#commands.push(command)
    this.#drain()
  }

  /** Commands may lead to events, and those to commands: the outermost call carries them all out, in order. */
  #drain(): void {
    if (this.#running) return
    this.#running = true
    try {
      for (let next = this.#commands.shift(); next !== undefined; next = this.#commands.shift())
        this.#execute(next)
    } finally {
      this.#running = false
    }
  }

  /** Lets the current carrier say what there is to say, then sets the timer. */
  #settle(): void {
    if (this.#running) return
    const current = this.#state.current
    const carrier = current === undefined ? undefined : this.#carriers.get(current.id)
    if (carrier?.ready === true) carrier.corked(() => this.#pump(carrier))
    this.#arm()
  }

  /** Ends by itself: what may be sent is bounded by credit. */
  #pump(carrier: Carrier): void {
    const { core, clock } = this.#options
    while (carrier.ready) {
      const before = this.#state
      const [state, commands] = core.step(before, { type: "pull" }, clock.nowMs())
      if (commands.length === 0) return
      this.#state = state
      for (const command of commands) this.#commands.push(command)
      this.#drain()
      if (this.#state.current?.id !== before.current?.id) return
    }
  }

  #arm(): void {
    const { core, clock } = this.#options
    const atMs = core.wakeAt(this.#state)
    if (this.#state.released) {
      this.#timer?.cancel()
      this.#timer = undefined
    } else if (atMs < (this.#timer?.atMs ?? Number.POSITIVE_INFINITY)) {
      this.#timer?.cancel()
      const cancel = clock.after(Math.max(0, Math.ceil(atMs - clock.nowMs())), () => this.#tick())
      this.#timer = { atMs, cancel }
    }
  }

  #tick(): void {
    const { core, clock } = this.#options
    this.#timer = undefined
    for (let count = 0; count < ticksAtOnce && core.wakeAt(this.#state) <= clock.nowMs(); count += 1)
      this.#step({ type: "tick" })
    this.#settle()
  }

  #execute(command: Command): void {
    const { hooks } = this.#options
    switch (command.type) {
      case "sendData":
        this.#carriers.get(command.carrier)?.sendData(command.offset, command.bytes)
        return
      case "send":
        this.#carriers.get(command.carrier)?.send(command.frame)
        return
      case "sendHello": {
        const hello = this.#options.hello?.(command.offer)
        if (hello !== undefined) this.#carriers.get(command.carrier)?.send(hello)
        return
      }
      case "close":
        this.#carriers.get(command.carrier)?.close(command.how)
        this.#carriers.delete(command.carrier)
        return
      case "open":
        this.#options.open?.(command.attempt)
        return
      case "deliver":
        hooks.deliver(command.bytes)
        return
      case "deliverEnd":
        hooks.deliverEnd()
        return
      case "writable":
        hooks.writable()
        return
      case "sentAll":
        hooks.sentAll()
        return
      case "opened":
        hooks.opened()
        return
      case "suspended":
        hooks.suspended()
        return
      case "resumed":
        hooks.resumed(command.stallMs)
        return
      case "moved":
        hooks.moved()
        return
      case "ended":
        hooks.ended(command.outcome)
        return
      case "released":
        this.#options.released()
        hooks.released()
    }
  }
}
