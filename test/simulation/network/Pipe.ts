/** One direction of a connection: in order, without loss; held while the network is cut. */
import type { Process } from "../kernel/Process.ts"
import type { Network } from "./Network.ts"

export class Pipe {
  readonly #network: Network
  readonly #from: Process
  readonly #to: Process
  #lastMs = 0
  #held: Array<() => void> = []
  #stopHolding: () => void = () => undefined
  #over = false

  constructor(network: Network, from: Process, to: Process) {
    this.#network = network
    this.#from = from
    this.#to = to
  }

  send(run: () => void): void {
    if (this.#over) return
    const { kernel } = this.#network
    if (this.#held.length > 0 || !this.#network.passes(this.#from, this.#to)) {
      this.#held.push(run)
      if (this.#held.length === 1) this.#stopHolding = this.#network.onHeal(() => this.#release())
      return
    }
    const atMs = Math.max(this.#lastMs, kernel.nowMs + this.#network.delayMs())
    this.#lastMs = atMs
    kernel.after(atMs - kernel.nowMs, () => this.#to.deliver(run))
  }

  /** Nothing crosses any more. */
  close(): void {
    this.#over = true
    this.#held = []
    this.#stopHolding()
  }

  #release(): void {
    this.#stopHolding()
    const held = this.#held
    this.#held = []
    for (const run of held) this.send(run)
  }
}
