/** The server's end: the streams of one process by id, each served over whichever carrier attached last. */
import type { Duplex } from "node:stream"
import { limits } from "../domain/Limits.ts"
import { Carrier } from "./Carrier.ts"
import { type StreamClock, systemClock } from "./Clock.ts"
import { type Core, makeCore } from "./core/Core.ts"
import { refusalOf } from "./core/ServerAttach.ts"
import { defaultSettings, type StreamSettings } from "./core/State.ts"
import { StreamEngine } from "./Engine.ts"
import { type Frame, type HelloFrame, protocolVersion, type RefuseFrame, type StreamKind } from "./Frames.ts"
import type { Outcome, RefuseCode, ResetCode } from "./Outcome.ts"
import { carrierKey, verifyHello } from "./Proof.ts"
import { ResumableDuplex } from "./ResumableDuplex.ts"

/** A client asks for a stream. Exactly one of `accept` and `refuse` is to be called, within `acceptMs`. */
export interface IncomingStream {
  readonly kind: StreamKind
  readonly target: string
  readonly binding: string
  /** The stream. If the client has given up meanwhile it is destroyed already. */
  readonly accept: () => ResumableDuplex
  readonly refuse: (code: RefuseCode, text: string) => void
}

/** A carrier that a server was given. */
export interface AcceptedCarrier {
  /** The carrier will not last: asks the client to take its stream, if it is on this carrier, to another. */
  readonly move: () => void
  /** Gives up the stream that is on this carrier, if any. */
  readonly abort: (code: ResetCode, text: string) => void
}

export interface StreamServerOptions {
  readonly onStream: (incoming: IncomingStream) => void
  readonly settings?: Partial<StreamSettings>
  readonly maxStreams?: number
  readonly clock?: StreamClock
  readonly core?: Core
}

interface Live {
  readonly secret: Buffer
  readonly binding: string
  readonly engine: StreamEngine
  readonly duplex: ResumableDuplex
}

/** Of an ended stream only this is kept, for a client that did not hear of the end. */
interface Ended {
  readonly secret: Buffer
  readonly binding: string
  readonly answer: RefuseFrame
  readonly cancel: () => void
}

const refusal = (code: RefuseCode, text: string): RefuseFrame => ({
  type: "refuse",
  code,
  reset: "cancelled",
  text,
})

const turnAway = (carrier: Carrier, frame: RefuseFrame): void => {
  carrier.send(frame)
  carrier.close("flush")
}

export class StreamServer {
  readonly #options: StreamServerOptions
  readonly #settings: StreamSettings
  readonly #clock: StreamClock
  readonly #core: Core
  readonly #handshakes = new Set<Carrier>()
  readonly #live = new Map<string, Live>()
  readonly #ended = new Map<string, Ended>()
  #closed = false

  constructor(options: StreamServerOptions) {
    this.#options = options
    this.#settings = { ...defaultSettings, ...options.settings }
    this.#clock = options.clock ?? systemClock
    this.#core = options.core ?? makeCore()
  }

  /** Streams that have not ended, suspended ones included. */
  get size(): number {
    return this.#live.size
  }

  /**
   * Serves one carrier. `binding` names on whose behalf it was opened (sandbox and principal, say); a stream is
   * resumed only by carriers with the binding that it began with. `key`, where it is given, is the `carrierKey`
   * of the only stream that this carrier may be of.
   */
  accept(duplex: Duplex, binding: string, key?: Buffer): AcceptedCarrier {
    const carrier = new Carrier(duplex, this.#clock)
    let leaving = false
    const accepted = {
      move: () => {
        leaving = true
        this.#move(carrier)
      },
      abort: (code: ResetCode, text: string) => {
        for (const { engine, duplex } of this.#live.values())
          if (engine.uses(carrier)) duplex.abort(code, text)
      },
    }
    if (this.#closed || this.#handshakes.size >= limits.resumeHandshakes) {
      duplex.destroy()
      return accepted
    }
    const done = (): void => {
      cancel()
      this.#handshakes.delete(carrier)
    }
    const drop = (): void => {
      done()
      carrier.close("now")
    }
    const cancel = this.#clock.after(limits.resumeHelloMs, drop)
    this.#handshakes.add(carrier)
    carrier.listen({
      frame: (frame: Frame) => {
        done()
        if (frame.type !== "hello") carrier.close("now")
        else if (key !== undefined && !carrierKey(frame.id).equals(key))
          turnAway(carrier, refusal("denied", "the carrier is of another stream"))
        else this.#hello(carrier, frame, binding)
        if (leaving) this.#move(carrier)
      },
      malformed: drop,
      closed: done,
      drain: () => undefined,
      idle: () => undefined,
    })
    return accepted
  }

  /** Resets every stream and takes no more. */
  close(text: string): void {
    this.#closed = true
    for (const carrier of this.#handshakes) carrier.close("now")
    this.#handshakes.clear()
    for (const { duplex } of this.#live.values()) duplex.abort("cancelled", text)
    for (const { cancel } of this.#ended.values()) cancel()
    this.#ended.clear()
  }

  #move(carrier: Carrier): void {
    for (const { engine } of this.#live.values()) if (engine.uses(carrier)) engine.dispatch({ type: "move" })
  }

  #hello(carrier: Carrier, hello: HelloFrame, binding: string): void {
    if (hello.version !== protocolVersion) {
      turnAway(carrier, refusal("version", `this end speaks version ${protocolVersion}`))
      return
    }
    const key = hello.id.toString("hex")
    const known = this.#live.get(key) ?? this.#ended.get(key)
    if (known === undefined) {
      if (hello.mode === "new") this.#create(carrier, key, hello, binding)
      else turnAway(carrier, refusal("unknown", "no such stream"))
    } else if (known.binding !== binding || !verifyHello(known.secret, hello)) {
      turnAway(carrier, refusal("denied", "the stream belongs to somebody else"))
    } else if ("engine" in known) {
      known.engine.attach(carrier, hello)
    } else {
      turnAway(carrier, known.answer)
    }
  }

  #create(carrier: Carrier, key: string, hello: HelloFrame, binding: string): void {
    const limit = this.#options.maxStreams ?? limits.resumeStreams
    if (this.#live.size >= limit) {
      turnAway(carrier, refusal("limit", `${limit} streams are open already`))
      return
    }
    const { auth: secret, kind, target } = hello
    const made: { engine?: StreamEngine } = {}
    const duplex = new ResumableDuplex((hooks) => {
      let outcome: Outcome = { _tag: "Finished" }
      const engine = new StreamEngine({
        core: this.#core,
        role: "server",
        settings: this.#settings,
        clock: this.#clock,
        hooks: {
          ...hooks,
          ended: (how) => {
            outcome = how
            hooks.ended(how)
          },
        },
        released: () => this.#retire(key, { secret, binding, answer: refusalOf(outcome) }),
      })
      made.engine = engine
      return engine
    })
    const { engine } = made
    if (engine === undefined) return
    this.#live.set(key, { secret, binding, engine, duplex })
    // An application that decides at once decides before the first answer.
    this.#offer(engine, duplex, { kind, target, binding })
    engine.attach(carrier, hello)
  }

  #offer(
    engine: StreamEngine,
    duplex: ResumableDuplex,
    what: Pick<IncomingStream, "kind" | "target" | "binding">,
  ): void {
    const refuse = (code: RefuseCode, text: string): void => {
      cancel()
      engine.dispatch({ type: "refuse", code, text })
    }
    const cancel = this.#clock.after(this.#settings.acceptMs, () =>
      refuse("timeout", "the target did not answer in time"),
    )
    const incoming: IncomingStream = {
      ...what,
      refuse,
      accept: () => {
        cancel()
        engine.dispatch({ type: "accept" })
        return duplex
      },
    }
    try {
      this.#options.onStream(incoming)
    } catch (cause) {
      refuse("target", cause instanceof Error ? cause.message : "the stream was not taken")
    }
  }

  #retire(key: string, ended: Omit<Ended, "cancel">): void {
    this.#live.delete(key)
    if (this.#closed) return
    for (const [oldest, { cancel }] of this.#ended) {
      if (this.#ended.size < limits.resumeEndedStreams) break
      cancel()
      this.#ended.delete(oldest)
    }
    const cancel = this.#clock.after(this.#settings.resumeWindowMs, () => this.#ended.delete(key))
    this.#ended.set(key, { ...ended, cancel })
  }
}
