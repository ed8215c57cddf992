/** Two cores and the carriers between them, byte by byte, in one thread and on a clock of their own. */

import type { Core } from "../../src/stream/core/Core.ts"
import {
  type Command,
  defaultSettings,
  type Event,
  type StreamSettings,
} from "../../src/stream/core/State.ts"
import { authBytes, encodeControl, encodeDataHeader, type Frame, idBytes } from "../../src/stream/Frames.ts"
import { checkEnds, demand, type End, newEnd, Violation } from "./SimulatedEnd.ts"
import { newWire, other, pattern, patternAt, type Side, sides, type Wire } from "./SimulatedWire.ts"

/** Buffers of a few dozen bytes, so that short programs meet every limit. */
export const smallSettings: StreamSettings = {
  ...defaultSettings,
  replayBytes: 64,
  receiveBytes: 48,
  chunkBytes: 16,
  earlyBytes: 8,
  ackBytes: 12,
  openMs: defaultSettings.resumeWindowMs,
}

export class Simulation {
  nowMs = 0
  readonly wires: Wire[] = []
  readonly ends: { readonly [S in Side]: End }
  /** An `open` command waits for its answer. */
  opening = false
  /** Hellos that were said, to say them again. */
  readonly hellos: Buffer[] = []
  #served = false
  #highestAttach = 0
  #progress = 0
  readonly #core: Core
  readonly #settings: StreamSettings

  constructor(core: Core, settings: StreamSettings = smallSettings) {
    this.#core = core
    this.#settings = settings
    this.ends = {
      client: newEnd(core.initial("client", 0, settings)),
      server: newEnd(core.initial("server", 0, settings)),
    }
    this.apply("client", { type: "start" })
  }

  write(side: Side, bytes: number): void {
    const end = this.ends[side]
    if (end.ended || (side === "server" && !this.#served)) return
    const length = Math.min(bytes, Math.min(this.#core.room(end.state), 4_096))
    if (length > 0) {
      this.#progress += 1
      const from = end.written
      end.written += length
      this.apply(side, { type: "write", bytes: pattern(side, from, length) })
    } else if (!end.state.send.full) this.apply(side, { type: "full" })
  }

  end(side: Side): void {
    const end = this.ends[side]
    if (end.ended || (side === "server" && !this.#served)) return
    end.ended = true
    this.apply(side, { type: "end" })
  }

  consume(side: Side, bytes: number): void {
    const end = this.ends[side]
    const taken = Math.min(bytes, end.delivered - end.consumed)
    if (taken <= 0 || end.outcome !== undefined) return
    this.#progress += 1
    end.consumed += taken
    this.apply(side, { type: "consumed", bytes: taken })
  }

  /** Lets the current carrier of an end take up to `frames` frames. */
  pump(side: Side, frames: number): void {
    for (let count = 0; count < frames; count += 1) {
      const { current } = this.ends[side].state
      const wire = current === undefined ? undefined : this.wires[current.id - 1]
      if (wire?.holds[side] !== true) return
      if (this.apply(side, { type: "pull" }) === 0) return
      this.#progress += 1
    }
  }

  /** Moves up to `bytes` bytes of a carrier towards `to`; then an end of the carrier, if there is one. */
  deliver(index: number, to: Side, bytes: number): void {
    const wire = this.wires[index]
    if (wire === undefined || wire.cut || wire.hole || wire.noticed[to]) return
    const line = wire.to[to]
    const piece = line.bytes.subarray(0, bytes)
    line.bytes = line.bytes.subarray(piece.length)
    if (piece.length > 0) this.#progress += 1
    for (const frame of line.decoder.push(piece)) this.#frame(wire, to, frame)
    if (line.decoder.failure !== undefined)
      this.apply(to, { type: "malformed", carrier: wire.id, text: line.decoder.failure })
    if (line.closed && line.bytes.length === 0) this.notice(index, to)
  }

  /** The bytes under way are lost; the ends notice later. */
  cut(index: number): void {
    const wire = this.wires[index]
    if (wire !== undefined) wire.cut = true
  }

  /** Nothing crosses any more and nobody is told. */
  swallow(index: number): void {
    const wire = this.wires[index]
    if (wire !== undefined) wire.hole = true
  }

  /** An end learns that a carrier is closed. */
  notice(index: number, side: Side): void {
    const wire = this.wires[index]
    if (wire === undefined || !wire.holds[side]) return
    this.#progress += 1
    wire.holds[side] = false
    wire.noticed[side] = true
    this.apply(side, { type: "carrierClosed", carrier: wire.id })
  }

  /** Answers an `open` command. */
  opened(succeeds: boolean): void {
    if (!this.opening) return
    this.opening = false
    this.#progress += 1
    if (succeeds) this.apply("client", { type: "carrierOpened", carrier: this.#wire().id })
    else this.apply("client", { type: "openFailed", text: "no replica answered", refused: undefined })
  }

  /** A hello of the past arrives once more, on a carrier of its own. */
  repeatHello(index: number): void {
    const hello = this.hellos[index]
    if (hello === undefined) return
    const wire = this.#wire()
    wire.holds.client = false
    wire.to.server.bytes = hello
    this.deliver(wire.id - 1, "server", hello.length)
  }

  /** Time passes; every timer fires at its moment. */
  advance(byMs: number): void {
    const until = this.nowMs + byMs
    let fired = 0
    for (let next = this.nextWakeMs(); next <= until; next = this.nextWakeMs()) {
      fired += 1
      demand(fired < 10_000, "a timer fires without end")
      this.nowMs = Math.max(this.nowMs, next)
      for (const side of sides)
        if (this.#core.wakeAt(this.ends[side].state) <= this.nowMs) this.apply(side, { type: "tick" })
    }
    this.nowMs = until
  }

  nextWakeMs(): number {
    const wakeMs = this.#core.wakeAt(this.ends.client.state)
    return this.#served ? Math.min(wakeMs, this.#core.wakeAt(this.ends.server.state)) : wakeMs
  }

  /** No more faults: everything that was written gets through and the stream ends, or the test fails. */
  settle(): void {
    for (let round = 0; round < 3_000; round += 1) {
      if (this.ends.client.state.released && (this.ends.server.state.released || !this.#served)) return
      const before = this.#progress
      this.opened(true)
      if (!this.ends.server.state.accepted) this.apply("server", { type: "accept" })
      for (const side of sides) {
        this.end(side)
        this.pump(side, 1_000)
        this.consume(side, Number.MAX_SAFE_INTEGER)
      }
      for (const [index, wire] of this.wires.entries()) {
        for (const side of sides) {
          this.deliver(index, side, Number.MAX_SAFE_INTEGER)
          if (wire.cut || (!wire.holds[other(side)] && !wire.hole)) this.notice(index, side)
        }
      }
      if (this.#progress !== before) continue
      demand(Number.isFinite(this.nextWakeMs()), "deadlock: nothing to do and no timer")
      this.advance(Math.max(1, this.nextWakeMs() - this.nowMs))
    }
    throw new Violation("the stream did not end although all faults had ended")
  }

  /** One event; the server has none before a hello made its stream. Returns the number of commands. */
  apply(side: Side, event: Event): number {
    if (side === "server" && !this.#served) return 0
    const end = this.ends[side]
    const [state, commands] = this.#core.step(end.state, event, this.nowMs)
    end.state = state
    for (const command of commands) this.#execute(side, end, command)
    this.#check()
    return commands.length
  }

  #wire(): Wire {
    const wire = newWire(this.wires.length + 1)
    this.wires.push(wire)
    return wire
  }

  #frame(wire: Wire, to: Side, frame: Frame): void {
    if (to === "client" || wire.greeted) {
      this.apply(to, { type: "frame", carrier: wire.id, frame })
      return
    }
    demand(frame.type === "hello", `a carrier began with ${frame.type}`)
    if (frame.type !== "hello") return
    wire.greeted = true
    if (!this.#served && frame.mode === "resume") {
      const text = "no such stream"
      this.#say(wire, "client", encodeControl({ type: "refuse", code: "unknown", reset: "cancelled", text }))
      return
    }
    if (!this.#served) this.ends.server.state = this.#core.initial("server", this.nowMs, this.#settings)
    this.#served = true
    this.apply("server", { type: "attach", carrier: wire.id, hello: frame })
  }

  #say(wire: Wire | undefined, to: Side, ...parts: ReadonlyArray<Buffer>): void {
    if (wire?.holds[other(to)] === true) wire.to[to].bytes = Buffer.concat([wire.to[to].bytes, ...parts])
  }

  #execute(side: Side, end: End, command: Command): void {
    const wire = "carrier" in command ? this.wires[command.carrier - 1] : undefined
    switch (command.type) {
      case "sendHello": {
        const identity = { id: Buffer.alloc(idBytes), auth: Buffer.alloc(authBytes) }
        const target = { version: 1, kind: "tcp" as const, target: "t" }
        const hello = encodeControl({ type: "hello", ...target, ...identity, ...command.offer })
        this.hellos.push(hello)
        this.#say(wire, "server", hello)
        return
      }
      case "send":
        this.#say(wire, other(side), encodeControl(command.frame))
        return
      case "sendData":
        demand(command.bytes.length <= this.#settings.chunkBytes, "a frame is too large")
        this.#say(wire, other(side), encodeDataHeader(command.offset, command.bytes.length), command.bytes)
        return
      case "close":
        if (wire === undefined) return
        wire.holds[side] = false
        if (command.how === "now") wire.cut = true
        else if (command.how === "flush") wire.to[other(side)].closed = true
        return
      case "open":
        demand(side === "client" && !this.opening, "two carriers are opened at once")
        this.opening = true
        return
      case "deliver":
        demand(!end.endDelivered && end.outcome === undefined, "data after the end")
        for (const byte of command.bytes) {
          demand(byte === patternAt(other(side), end.delivered), `wrong byte at ${end.delivered}`)
          end.delivered += 1
        }
        return
      case "deliverEnd":
        demand(!end.endDelivered, "two ends")
        demand(end.delivered === this.ends[other(side)].written, "an end before the last byte")
        end.endDelivered = true
        return
      case "sentAll":
        demand(!end.sentAll, "told twice that everything was sent")
        end.sentAll = true
        return
      case "ended":
        demand(end.outcome === undefined, "two outcomes")
        end.outcome = command.outcome
    }
  }

  #check(): void {
    checkEnds(this.ends, this.#settings)
    const { current, attach } = this.ends.server.state
    demand(attach >= this.#highestAttach, "an older carrier took the stream")
    demand(current === undefined || current.attach === attach, "an older carrier is attached")
    this.#highestAttach = attach
  }
}
