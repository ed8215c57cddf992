/**
 * The network between processes: delay, loss, repetition, reordering, and partitions in one direction or both.
 * A message to a dead process is answered by a refusal, as the kernel of its machine would.
 */
import type { Kernel } from "../kernel/Kernel.ts"
import type { Process } from "../kernel/Process.ts"

export interface Weather {
  /** Of messages that are lost, or arrive twice, or are late. */
  loss: number
  repeat: number
  late: number
}

export const fairWeather: Weather = { loss: 0, repeat: 0, late: 0 }

const lateMs = 400

/** A connection whose other side was silent for this long is given up (keepalive and its timeout). */
export const silenceMs = 4_000

/** One side of a connection. */
export interface Side {
  readonly process: Process
  /** The connection is over, as this side sees it. */
  readonly broken: () => void
  /** Bytes that wait here to be sent. */
  readonly waitingBytes: () => number
}

export class Network {
  readonly kernel: Kernel
  weather: Weather = { ...fairWeather }
  readonly #cut = new Set<string>()
  readonly #onHeal = new Set<() => void>()
  readonly #connections = new Set<readonly [Side, Side]>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }

  /** Nothing gets from `from` to `to` any more; the other way is another matter. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`)
    for (const [a, b] of this.#connections)
      if ([a.process.name, b.process.name].includes(from) && [a.process.name, b.process.name].includes(to))
        this.#doubt(a, b)
  }

  /** A connection between two sides; the answer forgets it. */
  connect(a: Side, b: Side): () => void {
    const connection = [a, b] as const
    this.#connections.add(connection)
    // Whoever is silent already is still silent a while later.
    this.#doubt(a, b)
    return () => this.#connections.delete(connection)
  }

  /** A process no longer answers anybody. */
  silent(process: Process): void {
    for (const [a, b] of this.#connections)
      if (a.process === process || b.process === process) this.#doubt(a, b)
  }

  /** Both sides give up what stays silent; the machine of a dead process tells at once. */
  #doubt(a: Side, b: Side): void {
    const works = () =>
      a.process.state === "running" &&
      b.process.state === "running" &&
      this.passes(a.process, b.process) &&
      this.passes(b.process, a.process)
    if (works()) return
    const dead = a.process.state === "dead" || b.process.state === "dead"
    const told = dead && this.passes(a.process, b.process) && this.passes(b.process, a.process)
    this.kernel.after(told ? this.delayMs() : silenceMs, () => {
      if (works()) return
      for (const side of [a, b]) side.process.deliver(side.broken)
    })
  }

  /** Ends the cuts between two processes. */
  mend(a: string, b: string): void {
    this.#cut.delete(`${a}>${b}`)
    this.#cut.delete(`${b}>${a}`)
    this.#flush()
  }

  heal(): void {
    this.#cut.clear()
    this.weather = { ...fairWeather }
    this.#flush()
  }

  /** What was held is sent again; what still may not pass is held again. */
  #flush(): void {
    for (const run of [...this.#onHeal]) run()
  }

  connections(): Iterable<readonly [Side, Side]> {
    return this.#connections
  }

  passes(from: Process, to: Process): boolean {
    return !this.#cut.has(`${from.name}>${to.name}`)
  }

  /** Told when cuts have ended; the answer ends the telling. */
  onHeal(run: () => void): () => void {
    this.#onHeal.add(run)
    return () => this.#onHeal.delete(run)
  }

  delayMs(): number {
    const { random } = this.kernel
    return random.chance(this.weather.late) ? random.between(1, lateMs) : random.between(0.1, 0.6)
  }

  /**
   * A message by itself: it may be lost, come twice and overtake others. `refused`: the other process is dead, and
   * its machine says so.
   */
  send(from: Process, to: Process, run: () => void, refused?: () => void): void {
    const { random } = this.kernel
    if (random.chance(this.weather.loss)) return
    const copies = random.chance(this.weather.repeat) ? 2 : 1
    for (let copy = 0; copy < copies; copy += 1) this.pass(from, to, run, refused)
  }

  /** A message of a connection that repeats what was lost: it arrives once, or the way is cut. */
  pass(from: Process, to: Process, run: () => void, refused?: () => void): void {
    if (!this.passes(from, to)) return
    this.kernel.after(this.delayMs(), () => {
      if (to.state !== "dead") to.deliver(run)
      else if (refused !== undefined && this.passes(to, from))
        this.kernel.after(this.delayMs(), () => from.deliver(refused))
    })
  }
}
