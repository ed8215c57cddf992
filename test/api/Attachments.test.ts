/** Attaching, deleting and changing providers at the same time: what is true afterwards, whoever came first. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { attachmentOperations } from "../../src/api/AttachmentMethods.ts"
import { bind } from "../../src/api/Endpoint.ts"
import { developer } from "../../src/api/Principal.ts"
import { providerOperations } from "../../src/api/ProviderMethods.ts"
import { Providers } from "../../src/store/Providers.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { providerCalls, providers } from "../../src/wire/openshell-v1/Providers.ts"
import { type ApiServer, startApi } from "../kit/ApiServer.ts"
import { aSandbox, dialects, everySandbox, storeKit } from "../kit/Stores.ts"
import { withVault } from "../kit/Vault.ts"

describe.each(dialects)("providers and sandboxes on %s", (dialect) => {
  const kit = storeKit(dialect)
  let api: ApiServer
  beforeAll(async () => {
    api = await startApi(kit.fresh(), { "": developer }, [
      bind(providers.create, withVault(providerOperations.create)),
      bind(providers.update, withVault(providerOperations.update)),
      bind(providers.delete, providerOperations.delete),
      bind(providers.attach, attachmentOperations.attach),
    ])
  }, 60_000)
  afterAll(() => api?.stop(), 60_000)

  const fields = (name: string, credentials: Record<string, string>, type = "generic") => ({
    workspace: "",
    provider: {
      ...{ name, type, credentials, config: {}, labels: {}, annotations: {}, credentialExpiresAtMs: {} },
      ...{ resourceVersion: 0, profileWorkspace: "", hasCredentialHandles: false },
    },
  })
  const create = (name: string, credentials: Record<string, string> = { [`${name}_KEY`]: "v" }) =>
    api.call("", providerCalls.create, fields(name, credentials))
  const update = (name: string, credentials: Record<string, string>) =>
    api.call("", providerCalls.update, fields(name, credentials, ""))
  const remove = (name: string) => api.call("", providerCalls.delete, { name, workspace: "" })
  const attach = (sandboxName: string, providerName: string) =>
    api.call("", providerCalls.attach, {
      ...{ sandboxName, providerName, expectedResourceVersion: 0, workspace: "" },
    })
  const sandbox = (name: string) =>
    api.run(Effect.flatMap(Sandboxes, (sandboxes) => sandboxes.insert(aSandbox({ name }))))

  it("never leave a sandbox with a provider that is deleted", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `r${index}`)
    for (const name of names) await Promise.all([sandbox(name), create(name)])
    await Promise.all(names.map((name) => Promise.allSettled([attach(name, name), remove(name)])))
    await api.run(
      Effect.gen(function* () {
        const known = yield* Providers
        for (const { name, spec } of yield* (yield* Sandboxes).list(everySandbox)) {
          const found = yield* known.named("default", [name])
          expect([name, found.length]).toEqual([name, spec.providers.length])
        }
      }),
    )
  })

  it("never give one variable to two providers that change at the same time", async () => {
    for (let round = 0; round < 2; round++) {
      const [c, d, name] = [`c${round}`, `d${round}`, `u${round}`]
      await Promise.all([sandbox(name), create(c, { [`C${round}`]: "v" }), create(d, { [`D${round}`]: "v" })])
      await attach(name, c)
      await attach(name, d)
      const outcomes = await Promise.allSettled([
        update(c, { [`SHARED${round}`]: "v" }),
        update(d, { [`SHARED${round}`]: "v" }),
      ])
      expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeLessThan(2)
    }
  })

  it("never give one variable to two providers of a sandbox", async () => {
    for (let round = 0; round < 8; round++) {
      const [a, b, name] = [`a${round}`, `b${round}`, `s${round}`]
      await Promise.all([sandbox(name), create(a, { [`A${round}`]: "v" }), create(b, { [`B${round}`]: "v" })])
      await attach(name, a)
      const outcomes = await Promise.allSettled([attach(name, b), update(a, { [`B${round}`]: "v" })])
      expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"])
    }
  })
})
