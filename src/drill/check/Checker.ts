/**
 * Compares what a stream delivers with what it should, byte for byte by position, and says what became of the
 * bytes that are not where they belong. Pure: no clock, no I/O.
 */
import { createHash } from "node:crypto"
import type { Content } from "./Content.ts"
import { Gaps } from "./Gaps.ts"

/** In bytes. A whole stream has zeros but for `received`. */
export interface Verdict {
  readonly received: number
  /** Sent and never came. */
  readonly lost: number
  /** Came again. */
  readonly duplicated: number
  /** Came after bytes that belong behind them. */
  readonly reordered: number
  /** Belong nowhere in this stream. */
  readonly corrupted: number
}

/** So many bytes say where they belong; random content repeats no run of this length. */
const needleBytes = 16
/** How far around its place a displaced piece is looked for: twice what a resumable stream keeps for a resume. */
const searchBytes = 4 * 1_048_576
/** A stream of garbage is not worth more searches. */
const searches = 64
const compareBytes = 65_536

export class Checker {
  readonly #content: Content
  readonly #gaps = new Gaps()
  readonly #hash = createHash("sha256")
  readonly #expected = Buffer.alloc(compareBytes)
  /** Position of the next byte. */
  #cursor = 0
  /** Behind the furthest byte so far. */
  #highest = 0
  #received = 0
  #duplicated = 0
  #reordered = 0
  #corrupted = 0
  #searched = 0
  /** Bytes that differ from what was expected, too few to know where they belong. */
  #undecided: Buffer = Buffer.alloc(0)

  constructor(content: Content) {
    this.#content = content
  }

  get received(): number {
    return this.#received
  }

  push(chunk: Uint8Array): void {
    this.#hash.update(chunk)
    this.#received += chunk.length
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let rest = this.#undecided.length === 0 ? bytes : Buffer.concat([this.#undecided, bytes])
    this.#undecided = Buffer.alloc(0)
    while (rest.length > 0) {
      const matching = this.#matching(rest)
      this.#accept(matching)
      rest = rest.subarray(matching)
      if (rest.length === 0) return
      if (rest.length < needleBytes) {
        this.#undecided = Buffer.from(rest)
        return
      }
      const place = this.#locate(rest.subarray(0, needleBytes))
      if (place !== undefined) this.#jump(place)
      else rest = rest.subarray(this.#skip(rest))
    }
  }

  /** `sent`: how many bytes there should have been. Call it once, at the end. */
  finish(sent: number): { readonly verdict: Verdict; readonly sha256: string } {
    return {
      verdict: {
        received: this.#received,
        lost: this.#gaps.bytes + Math.max(0, sent - this.#highest),
        duplicated: this.#duplicated,
        reordered: this.#reordered,
        corrupted: this.#corrupted + this.#undecided.length,
      },
      sha256: this.#hash.digest("hex"),
    }
  }

  /** How many of the bytes are those that follow at the cursor. */
  #matching(bytes: Buffer): number {
    for (let at = 0; at < bytes.length; at += compareBytes) {
      const slice = bytes.subarray(at, at + compareBytes)
      const expected = this.#expected.subarray(0, slice.length)
      this.#content.fill(this.#cursor + at, expected)
      if (expected.equals(slice)) continue
      return at + slice.findIndex((byte, index) => byte !== expected[index])
    }
    return bytes.length
  }

  /** Takes bytes that are what the cursor says. */
  #accept(count: number): void {
    const end = this.#cursor + count
    const known = Math.min(end, this.#highest)
    if (known > this.#cursor) {
      const late = this.#gaps.take(this.#cursor, known)
      this.#reordered += late
      this.#duplicated += known - this.#cursor - late
    }
    this.#cursor = end
    this.#highest = Math.max(this.#highest, end)
  }

  #jump(place: number): void {
    if (place > this.#highest) this.#gaps.add(this.#highest, place)
    this.#cursor = place
    this.#highest = Math.max(this.#highest, place)
  }

  #locate(needle: Buffer): number | undefined {
    const next = Buffer.alloc(needleBytes)
    this.#content.fill(this.#highest, next)
    if (next.equals(needle)) return this.#highest
    this.#searched += 1
    if (this.#searched > searches) return undefined
    const from = Math.max(0, this.#highest - searchBytes)
    const haystack = Buffer.alloc(this.#highest + searchBytes - from)
    this.#content.fill(from, haystack)
    const found = haystack.indexOf(needle)
    return found === -1 ? undefined : from + found
  }

  /** Counts bytes as corrupted up to where the stream goes on in its place, or to the end of the chunk. */
  #skip(bytes: Buffer): number {
    const expected = Buffer.alloc(bytes.length)
    this.#content.fill(this.#cursor, expected)
    let length = 1
    while (length < bytes.length) {
      const end = length + needleBytes
      if (bytes.subarray(length, end).equals(expected.subarray(length, end))) break
      length += 1
    }
    this.#corrupted += length
    this.#cursor += length
    this.#highest = Math.max(this.#highest, this.#cursor)
    return length
  }
}
