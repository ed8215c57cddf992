/** What happened, in order. Ids that are drawn freshly get the name of their first appearance. */
import { createHash } from "node:crypto"

const idPattern = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g

export class Trace {
  readonly #hash = createHash("sha256")
  readonly #names = new Map<string, string>()
  readonly #keep: ((line: string) => void) | undefined
  lines = 0

  /** `keep` gets every line; without it only their hash is kept. */
  constructor(keep?: (line: string) => void) {
    this.#keep = keep
  }

  say(atMs: number, who: string, what: string): void {
    const line = `${atMs.toFixed(3).padStart(10)} ${who.padEnd(8)} ${what.replaceAll(idPattern, (id) => this.#name(id))}`
    this.lines += 1
    this.#hash.update(line)
    this.#keep?.(line)
  }

  /** The same for every run of one seed. */
  digest(): string {
    return this.#hash.copy().digest("hex").slice(0, 16)
  }

  #name(id: string): string {
    const known = this.#names.get(id)
    if (known !== undefined) return known
    const name = `#${this.#names.size + 1}`
    this.#names.set(id, name)
    return name
  }
}
