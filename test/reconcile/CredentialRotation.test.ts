import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Option } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CredentialVault, layer, placeOf } from "../../src/auth/CredentialVault.ts"
import { rotateAll } from "../../src/reconcile/CredentialRotation.ts"
import { Providers } from "../../src/store/Providers.ts"
import type { Store } from "../../src/store/Store.ts"
import { dialects, storeKit } from "../kit/Stores.ts"

let directory = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-test-rotation-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** As a replica that has these keys, the first of which encrypts. */
const having = <A, E>(keys: ReadonlyArray<number>, effect: Effect.Effect<A, E, CredentialVault | Store>) => {
  const file = join(directory, `${keys.join("-")}.keys`)
  writeFileSync(file, keys.map((fill) => `k${fill}: ${Buffer.alloc(32, fill).toString("base64")}\n`).join(""))
  return Effect.provide(effect, layer({ key: undefined, file }))
}

const put = (name: string) =>
  Effect.gen(function* () {
    const vault = yield* CredentialVault
    const providers = yield* Providers
    yield* providers.insert({
      id: name,
      workspace: "default",
      name,
      createdAtMs: 1,
      labels: {},
      annotations: {},
      resourceVersion: 0,
      type: "generic",
      credentialKeys: ["KEY"],
      config: {},
      credentialExpiresAtMs: {},
      profileWorkspace: "",
      sealedCredentials: yield* vault.sealed(placeOf(name), { KEY: `value of ${name}` }),
      encryptionKey: vault.current ?? "",
    })
  })

const opened = (name: string) =>
  Effect.gen(function* () {
    const providers = yield* Providers
    const provider = Option.getOrThrow(yield* providers.getByName("default", name))
    const vault = yield* CredentialVault
    const secrets = yield* vault.opened(placeOf(provider.id), provider.sealedCredentials)
    return { secrets, resourceVersion: provider.resourceVersion }
  })

describe.each(dialects)("the rotation of credential keys on %s", (dialect) => {
  const kit = storeKit(dialect)

  it("brings everything under the first key, after which the old one is not needed", () =>
    kit.run(
      Effect.gen(function* () {
        const names = Array.from({ length: 130 }, (_, index) => `p${index}`)
        yield* having([1], Effect.forEach(names, put))
        yield* having([2, 1], put("fresh"))
        expect(yield* having([2, 1], rotateAll)).toEqual({ moved: 130, left: 0 })
        expect(yield* having([2, 1], rotateAll)).toEqual({ moved: 0, left: 0 })
        for (const name of ["p0", "p129", "fresh"])
          expect(yield* having([2], opened(name))).toEqual({
            secrets: { KEY: `value of ${name}` },
            resourceVersion: 1,
          })
      }),
    ))

  it("leaves what it cannot open, and ends", () =>
    kit.run(
      Effect.gen(function* () {
        yield* having([1], put("lost"))
        yield* having([3], put("found"))
        expect(yield* having([2, 3], rotateAll)).toEqual({ moved: 1, left: 1 })
        expect(yield* having([1], opened("lost"))).toMatchObject({ secrets: { KEY: "value of lost" } })
        expect(yield* having([2], opened("found"))).toMatchObject({ secrets: { KEY: "value of found" } })
      }),
    ))
})
