import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Either, Redacted } from "effect"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { refreshDelayMs, TokenStore, tokenExpiryMs } from "../../src/supervisor/gateway/Token.ts"

const directory = mkdtempSync(join(tmpdir(), "holdfast-token-test-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const jwt = (claims: unknown) =>
  Redacted.make(`h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`)

const open = (path: string) => Effect.runPromise(TokenStore.make({ kind: "file", path }))

describe("the sandbox token", () => {
  it("is refreshed between 80 and 89 percent of its remaining life, within a second and half a day", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1_000_000, max: 1_000_000_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (lifeMs, random) => {
          const delay = refreshDelayMs(1_000, 1_000 + lifeMs, random)
          expect(delay).toBeGreaterThanOrEqual(1_000)
          expect(delay).toBeLessThanOrEqual(43_200_000)
          if (delay > 1_000 && delay < 43_200_000) {
            expect(delay / lifeMs).toBeGreaterThan(0.799)
            expect(delay / lifeMs).toBeLessThan(0.891)
          }
        },
      ),
    )
  })

  it("has no known end when it names none, or is no JWT at all", () => {
    expect(tokenExpiryMs(jwt({ exp: 12 }))).toBe(12_000)
    for (const token of [
      jwt({ exp: 0 }),
      jwt({}),
      jwt("x"),
      Redacted.make("opaque"),
      Redacted.make("a.%%.b"),
    ]) {
      expect(tokenExpiryMs(token)).toBeUndefined()
    }
    expect(refreshDelayMs(0, undefined, 0.5)).toBe(21_600_000)
  })

  it("is written back whole with the mode of its file, and taken over when somebody else writes it", async () => {
    const path = join(directory, "token")
    writeFileSync(path, "one\n")
    chmodSync(path, 0o640)
    const store = await open(path)
    await store.replace(Redacted.make("two"))
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["two", 0o640])
    writeFileSync(path, "three\n")
    await store.reread()
    expect(Redacted.value(store.current)).toBe("three")
  })

  it("stays usable when its file is gone, and is refused by name when there never was one", async () => {
    const path = join(directory, "gone")
    writeFileSync(path, "here")
    const store = await open(path)
    rmSync(path)
    await store.reread()
    await store.replace(Redacted.make("new"))
    expect(Redacted.value(store.current)).toBe("new")
    const missing = await Effect.runPromise(Effect.either(TokenStore.make({ kind: "file", path })))
    expect(Either.isLeft(missing) && missing.left.message).toContain("OPENSHELL_SANDBOX_TOKEN_FILE")
  })
})
