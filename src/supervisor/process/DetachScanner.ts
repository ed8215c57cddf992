/** Ctrl-P, then Ctrl-Q: leaves an attached terminal and lets its process run, as in OpenShell and Docker. */
const ctrlP = 0x10
const ctrlQ = 0x11

/**
 * Looks for the detach sequence in typed input. A Ctrl-P is held back until the next byte decides; everything
 * else passes in order. Nothing after the sequence passes.
 */
export class DetachScanner {
  #held = false
  #detached = false

  /** The bytes for the process, and whether the sequence has been completed. */
  push(input: Buffer): { readonly forward: Buffer; readonly detached: boolean } {
    if (this.#detached) return { forward: Buffer.alloc(0), detached: true }
    if (!this.#held && !input.includes(ctrlP)) return { forward: input, detached: false }
    const forward: number[] = []
    for (const byte of input) {
      if (this.#held && byte === ctrlQ) {
        this.#detached = true
        break
      }
      if (this.#held) forward.push(ctrlP)
      this.#held = byte === ctrlP
      if (!this.#held) forward.push(byte)
    }
    return { forward: Buffer.from(forward), detached: this.#detached }
  }
}
