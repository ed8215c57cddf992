import { describe, expect, it } from "@effect/vitest"
import fc from "fast-check"
import { Checker } from "../../src/drill/check/Checker.ts"
import { lineContent, randomContent, wordOf } from "../../src/drill/check/Content.ts"

const seed = 42
const length = 4_096

const contentOf = (position: number, bytes: number): Buffer => {
  const target = Buffer.alloc(bytes)
  randomContent(seed).fill(position, target)
  return target
}

/** What the checker says of these bytes, given in pieces of some size. */
const verdictOf = (bytes: Buffer, sent = length, pieceBytes = 257) => {
  const checker = new Checker(randomContent(seed))
  for (let at = 0; at < bytes.length; at += pieceBytes) checker.push(bytes.subarray(at, at + pieceBytes))
  return checker.finish(sent)
}

const range = fc
  .tuple(fc.integer({ min: 0, max: length - 64 }), fc.integer({ min: 1, max: 1_024 }))
  .map(([from, count]) => ({ from, to: Math.min(length - 32, from + count) }))
const piece = fc.integer({ min: 1, max: length })

describe("the content of a drill's streams", () => {
  it("is the same bytes however it is read", () => {
    fc.assert(
      fc.property(range, ({ from, to }) => {
        const whole = contentOf(0, length)
        expect(contentOf(from, to - from)).toEqual(whole.subarray(from, to))
      }),
    )
  })

  it("differs by seed", () => {
    expect(wordOf(1, 0)).not.toBe(wordOf(2, 0))
    expect(wordOf(1, 0)).toMatch(/^[0-9a-f]{16}$/)
  })

  it("may be lines made from their index", () => {
    const target = Buffer.alloc(9)
    lineContent(4, (index) => `${index}ab\n`).fill(3, target)
    expect(target.toString()).toBe("\n1ab\n2ab\n")
  })
})

describe("the checker of a stream", () => {
  it("finds a whole stream whole, in pieces of any size", () => {
    fc.assert(
      fc.property(piece, (size) => {
        const { verdict } = verdictOf(contentOf(0, length), length, size)
        expect(verdict).toEqual({ received: length, lost: 0, duplicated: 0, reordered: 0, corrupted: 0 })
      }),
      { numRuns: 12 },
    )
  })

  it("counts the bytes that are lost in the middle", () => {
    fc.assert(
      fc.property(range, piece, ({ from, to }, size) => {
        const whole = contentOf(0, length)
        const { verdict } = verdictOf(
          Buffer.concat([whole.subarray(0, from), whole.subarray(to)]),
          length,
          size,
        )
        expect(verdict).toMatchObject({ lost: to - from, duplicated: 0, reordered: 0, corrupted: 0 })
      }),
      { numRuns: 12 },
    )
  })

  it("counts the bytes that are missing at the end", () => {
    expect(verdictOf(contentOf(0, 100)).verdict).toMatchObject({ received: 100, lost: length - 100 })
  })

  it("counts the bytes that come twice", () => {
    fc.assert(
      fc.property(range, piece, ({ from, to }, size) => {
        fc.pre(to - from >= 32)
        const whole = contentOf(0, length)
        const bytes = Buffer.concat([whole.subarray(0, to), whole.subarray(from, to), whole.subarray(to)])
        const { verdict } = verdictOf(bytes, length, size)
        expect(verdict).toMatchObject({ lost: 0, duplicated: to - from, reordered: 0, corrupted: 0 })
      }),
      { numRuns: 12 },
    )
  })

  it("counts the bytes that come after bytes that belong behind them", () => {
    const whole = contentOf(0, length)
    const [first, second] = [whole.subarray(100, 200), whole.subarray(200, 400)]
    const bytes = Buffer.concat([whole.subarray(0, 100), second, first, whole.subarray(400)])
    expect(verdictOf(bytes).verdict).toMatchObject({ lost: 0, duplicated: 0, reordered: 100, corrupted: 0 })
  })

  it("counts the bytes that belong nowhere, and goes on behind them", () => {
    const bytes = contentOf(0, length)
    bytes.fill(0, 500, 540)
    const { verdict } = verdictOf(bytes)
    expect(verdict.corrupted).toBeGreaterThan(30)
    expect(verdict.corrupted).toBeLessThanOrEqual(40)
    expect(verdict).toMatchObject({ lost: 0, duplicated: 0, reordered: 0 })
  })

  it("ends with garbage that has no end", () => {
    expect(verdictOf(Buffer.alloc(100_000)).verdict.corrupted).toBeGreaterThan(90_000)
  })

  it("gives the SHA-256 of what came", () => {
    const whole = contentOf(0, length)
    const other = Buffer.from(whole)
    other[7] = 255 - (other[7] ?? 0)
    expect(verdictOf(whole).sha256).toBe(verdictOf(whole, length, 1_000).sha256)
    expect(verdictOf(other).sha256).not.toBe(verdictOf(whole).sha256)
  })
})
