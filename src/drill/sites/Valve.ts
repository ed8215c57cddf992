/**
 * A TCP connection through this process that can be stopped in either direction, as if its packets were dropped:
 * what was on its way waits, no end is passed on, nobody is told.
 */
import type net from "node:net"

/** `forth` is from who connected to who was connected to. */
export type Way = "forth" | "back"

const other = (way: Way): Way => (way === "forth" ? "back" : "forth")

export class Valve {
  /** Who sends into each way. */
  readonly #from: Readonly<Record<Way, net.Socket>>
  readonly #closed = new Set<Way>()
  /** Ends that wait until their way is open. */
  readonly #ended = new Set<Way>()
  #broken = false

  constructor(near: net.Socket, far: net.Socket, onGone: () => void) {
    this.#from = { forth: near, back: far }
    for (const way of ["forth", "back"] as const) {
      const from = this.#from[way]
      const to = this.#from[other(way)]
      from.on("data", (chunk) => {
        if (!to.write(chunk)) from.pause()
      })
      to.on("drain", () => this.#flow(way))
      from.on("end", () => {
        this.#ended.add(way)
        this.#flow(way)
      })
      from.on("error", () => undefined)
      from.on("close", () => {
        if (from.errored !== null) this.#broken = true
        this.#ended.add(way)
        this.#flow(way)
        if (near.destroyed && far.destroyed) onGone()
      })
    }
  }

  /** Opens or closes each way. */
  set(blocked: (way: Way) => boolean): void {
    for (const way of ["forth", "back"] as const) {
      if (blocked(way)) {
        this.#closed.add(way)
        this.#from[way].pause()
      } else {
        this.#closed.delete(way)
        this.#flow(way)
      }
    }
  }

  destroy(): void {
    this.#from.forth.destroy()
    this.#from.back.destroy()
  }

  #flow(way: Way): void {
    if (this.#closed.has(way)) return
    const from = this.#from[way]
    const to = this.#from[other(way)]
    if (!this.#ended.has(way)) {
      if (!to.writableNeedDrain) from.resume()
      return
    }
    if (this.#broken && from.destroyed) to.resetAndDestroy()
    else to.end()
  }
}
