import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Redacted } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { ensureCredentialKeys, loadKeys, parseKeys } from "../../src/auth/CredentialKeys.ts"
import { CredentialVault, layer } from "../../src/auth/CredentialVault.ts"
import { quiet } from "../kit/Stores.ts"

let directory = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-test-credential-keys-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const base64 = (fill: number) => Buffer.alloc(32, fill).toString("base64")
const place = { table: "providers", id: "a", column: "sealed_credentials" }

describe("credential keys", () => {
  it("are read from a file with names, comments and empty lines, in their order", async () => {
    const content = `# keys\n\nnew: ${base64(1)}\nold : ${Buffer.alloc(32, 255).toString("base64url")}\n`
    const keys = await Effect.runPromise(parseKeys(content))
    expect(keys.map(({ name }) => name)).toEqual(["new", "old"])
    expect(keys[1]?.bytes).toEqual(Buffer.alloc(32, 255))
  })

  it.each([
    ["a short key", `a: ${Buffer.alloc(31).toString("base64")}`, /^line 1 .*32 bytes/],
    ["no name", base64(1), /^line 1 /],
    ["a repeated name", `a: ${base64(1)}\na: ${base64(2)}`, /^line 2 .*repeats the name 'a'$/],
    ["no key", "# nothing\n", /^the credential keys hold no key$/],
  ])("with %s are refused, without their content in the text", async (_, content, text) => {
    const refused = await Effect.runPromise(Effect.flip(parseKeys(content)))
    expect(refused.message).toMatch(text)
    expect(refused.message).not.toContain(base64(1))
  })

  it("are made once and kept, for their owner only", async () => {
    const made = join(directory, "made")
    const file = await Effect.runPromise(ensureCredentialKeys(made))
    const before = readFileSync(file, "utf8")
    expect(await Effect.runPromise(ensureCredentialKeys(made))).toBe(file)
    expect(readFileSync(file, "utf8")).toBe(before)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await Effect.runPromise(loadKeys({ key: undefined, file }))).toHaveLength(1)
  })

  it("come from the file before the setting, and each counts once", async () => {
    const file = join(directory, "two.keys")
    writeFileSync(file, `new: ${base64(1)}\nold: ${base64(2)}\n`)
    const named = async (fill: number) =>
      (await Effect.runPromise(loadKeys({ key: Redacted.make(base64(fill)), file }))).map(({ name }) => name)
    expect(await named(2)).toEqual(["new", "old"])
    expect(await named(3)).toEqual(["new", "old", "setting"])
  })
})

const withVault = <A, E>(keys: ReadonlyArray<number>, effect: Effect.Effect<A, E, CredentialVault>) => {
  const file = join(directory, `${keys.join("-")}.keys`)
  writeFileSync(file, keys.map((fill) => `k${fill}: ${base64(fill)}\n`).join(""))
  const settings = { key: undefined, file: keys.length === 0 ? undefined : file }
  return Effect.runPromise(effect.pipe(Effect.provide(layer(settings)), Effect.provide(quiet)))
}
const sealed = Effect.flatMap(CredentialVault, (vault) => vault.sealed(place, { KEY: "value" }))

describe("the vault of credentials", () => {
  it("opens what it sealed before its keys were rotated, and seals under the first", async () => {
    const old = await withVault([1], sealed)
    const [opened, moved] = await withVault(
      [2, 1],
      Effect.flatMap(CredentialVault, (vault) =>
        Effect.all([vault.opened(place, old), vault.rewrapped(place, old)]),
      ),
    )
    expect(opened).toEqual({ KEY: "value" })
    const after = await withVault(
      [2],
      Effect.flatMap(CredentialVault, (vault) => vault.opened(place, moved)),
    )
    expect(after).toEqual({ KEY: "value" })
  })

  it("refuses to seal without a key and says what to set", async () => {
    const refused = await withVault([], Effect.flip(sealed))
    expect(refused).toMatchObject({
      _tag: "FailedPrecondition",
      message:
        "credential encryption is not configured on this gateway: set HOLDFAST_CREDENTIAL_KEY_FILE or HOLDFAST_CREDENTIAL_KEY",
    })
  })

  it("names the place of what does not open, and nothing of its content", async () => {
    const old = await withVault([1], sealed)
    const refused = await withVault(
      [2],
      Effect.flip(Effect.flatMap(CredentialVault, (vault) => vault.opened(place, old))),
    )
    expect(refused).toMatchObject({ _tag: "Internal" })
    expect(refused.message).toMatch(
      /^the stored credentials of providers 'a' cannot be opened: sealed under key /,
    )
  })
})
