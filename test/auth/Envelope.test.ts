import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type EncryptionKey,
  encryptionKey,
  fingerprintOf,
  open,
  rewrap,
  seal,
} from "../../src/auth/Envelope.ts"

const keyOf = (name: string, fill: number): EncryptionKey => encryptionKey(name, Buffer.alloc(32, fill))
const first = keyOf("first", 1)
const second = keyOf("second", 2)
const place = { table: "providers", id: "a", column: "sealed_credentials" }

const text = fc.string({ unit: "binary", maxLength: 2_000 })

describe("sealed values", () => {
  it("open to what was sealed, under the key that sealed them and among others", () => {
    fc.assert(
      fc.property(text, (content) => {
        const sealed = seal(first, place, content)
        expect(open([second, first], place, sealed)).toEqual(Either.right(content))
        expect(fingerprintOf(sealed)).toBe(first.fingerprint)
        expect(sealed).not.toContain(content.length > 8 ? content : "\n")
      }),
    )
  })

  it("differ each time, even for the same content", () => {
    expect(seal(first, place, "same")).not.toBe(seal(first, place, "same"))
  })

  it("do not open after a change of any one character", () => {
    const sealed = seal(first, place, "the secret")
    fc.assert(
      fc.property(
        fc.nat(sealed.length - 1),
        fc.constantFrom(..."ABCDEFabcdef0123456789_-."),
        (at, character) => {
          fc.pre(sealed[at] !== character)
          const changed = `${sealed.slice(0, at)}${character}${sealed.slice(at + 1)}`
          const opened = open([first, second], place, changed)
          // The last character of base64url may carry bits that mean nothing; then the value is the same.
          if (Either.isRight(opened)) {
            expect(Buffer.from(changed.split(".")[3] ?? "", "base64url")).toEqual(
              Buffer.from(sealed.split(".")[3] ?? "", "base64url"),
            )
            expect(Buffer.from(changed.split(".")[2] ?? "", "base64url")).toEqual(
              Buffer.from(sealed.split(".")[2] ?? "", "base64url"),
            )
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it("do not open cut short, or as something else entirely", () => {
    const sealed = seal(first, place, "the secret")
    for (let length = 0; length < sealed.length; length++)
      expect(Either.isLeft(open([first], place, sealed.slice(0, length)))).toBe(true)
    for (const nonsense of ["", "v1", "v1...", "v2.0011223344556677.AA.AA", "plain"])
      expect(Either.isLeft(open([first], place, nonsense))).toBe(true)
  })

  it.each([
    ["table", { ...place, table: "inference_routes" }],
    ["row", { ...place, id: "b" }],
    ["column", { ...place, column: "config" }],
  ])("do not open in another %s", (_, elsewhere) => {
    const opened = open([first], elsewhere, seal(first, place, "the secret"))
    expect(Either.isLeft(opened) && opened.left.reason).toBe("content")
  })

  it("do not open with the data key of one value and the body of another", () => {
    const [a, b] = [seal(first, place, "one").split("."), seal(first, place, "two").split(".")]
    const mixed = [...a.slice(0, 3), b[3]].join(".")
    expect(Either.isLeft(open([first], place, mixed))).toBe(true)
  })

  it("do not open without their key, and say which one is missing", () => {
    const opened = open([second], place, seal(first, place, "the secret"))
    expect(Either.isLeft(opened) && opened.left).toMatchObject({
      reason: "key",
      message: `sealed under key ${first.fingerprint}, which is not configured`,
    })
  })

  it("come under another key without being opened, and then need the old one no more", () => {
    fc.assert(
      fc.property(text, (content) => {
        const moved = Either.getOrThrow(rewrap([second, first], place, seal(first, place, content)))
        expect(fingerprintOf(moved)).toBe(second.fingerprint)
        expect(open([second], place, moved)).toEqual(Either.right(content))
        expect(Either.isLeft(open([first], place, moved))).toBe(true)
      }),
    )
  })

  it("come under another key only in their own place", () => {
    const moved = rewrap([second, first], { ...place, id: "b" }, seal(first, place, "the secret"))
    expect(Either.isLeft(moved)).toBe(true)
  })
})
