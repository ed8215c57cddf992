/** Keeps the beginning of a short output. */
import { Writable } from "node:stream"

const keptCharacters = 4_096

export class Collector extends Writable {
  text = ""

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text = `${this.text}${chunk.toString("utf8")}`.slice(0, keptCharacters)
    done()
  }
}
