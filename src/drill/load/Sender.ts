/** The sending half of a checked stream: pieces of the content, and the hash of all of them. */
import { createHash } from "node:crypto"
import type { Content } from "../check/Content.ts"

export class Sender {
  readonly #content: Content
  readonly #hash = createHash("sha256")
  #sent = 0

  constructor(content: Content) {
    this.#content = content
  }

  get sent(): number {
    return this.#sent
  }

  piece(bytes: number): Buffer {
    const piece = Buffer.alloc(bytes)
    this.#content.fill(this.#sent, piece)
    this.#sent += bytes
    this.#hash.update(piece)
    return piece
  }

  /** Call it once, at the end. */
  sha256(): string {
    return this.#hash.digest("hex")
  }
}
