import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Provider } from "../../src/domain/Provider.ts"
import { compose, conflictOf, revisionOf, variablesOfProvider } from "../../src/domain/ProviderEnvironment.ts"
import { providerProfiles } from "../../src/domain/ProviderProfiles.ts"
import { providerRules } from "../../src/domain/ProviderRules.ts"
import { composePolicy } from "../../src/policy/Compose.ts"
import { contentRefusal } from "../../src/policy/Content.ts"

const aProvider = (changes: Partial<Provider> = {}): Provider => ({
  id: "id",
  workspace: "default",
  name: "p",
  createdAtMs: 1,
  labels: {},
  annotations: {},
  resourceVersion: 1,
  type: "generic",
  credentialKeys: ["KEY"],
  config: {},
  credentialExpiresAtMs: {},
  profileWorkspace: "",
  ...changes,
})

const variable = fc.constantFrom("A", "B", "C", "token", "api_key", "GITHUB_TOKEN", "OPENAI_API_KEY")
const type = fc.constantFrom("generic", "github", "openai", "copilot")
const attached = fc
  .array(fc.record({ type, credentialKeys: fc.uniqueArray(variable, { maxLength: 3 }) }), { maxLength: 5 })
  .map((list) =>
    list.map((changes, index) => aProvider({ ...changes, id: `id-${index}`, name: `p${index}` })),
  )

describe("the environment of providers", () => {
  it("has every variable once: providers conflict exactly when two credentials would share one", () => {
    fc.assert(
      fc.property(attached, (providers) => {
        const variables = providers.flatMap((provider) => variablesOfProvider(provider).map(([name]) => name))
        expect(conflictOf(providers) === undefined).toBe(new Set(variables).size === variables.length)
      }),
    )
  })

  it("holds what was given for each variable, and nothing else", () => {
    fc.assert(
      fc.property(attached, (providers) => {
        fc.pre(conflictOf(providers) === undefined)
        const secrets = new Map(
          providers.map(({ id, credentialKeys }) => [
            id,
            Object.fromEntries(credentialKeys.map((key) => [key, `${id} ${key}`])),
          ]),
        )
        const { environment } = compose(providers, secrets, 0)
        const expected = providers.flatMap((provider) =>
          variablesOfProvider(provider).map(([name, key]) => [name, `${provider.id} ${key}`]),
        )
        expect(environment).toEqual(Object.fromEntries(expected))
      }),
    )
  })

  it("changes its revision with the providers, with their versions and with time, and is 0 without any", () => {
    const one = aProvider({ credentialExpiresAtMs: { KEY: 100 } })
    expect(revisionOf([], 0)).toBe("0")
    const before = revisionOf([one], 50)
    expect(before).toMatch(/^\d+$/)
    expect(revisionOf([one], 99)).toBe(before)
    expect(revisionOf([{ ...one, labels: { a: "b" } }], 50)).toBe(before)
    for (const other of [
      revisionOf([one], 100),
      revisionOf([{ ...one, resourceVersion: 2 }], 50),
      revisionOf([one, aProvider({ id: "other" })], 50),
    ])
      expect(other).not.toBe(before)
  })

  it("puts a credential that is named as in its profile into all variables of the profile", () => {
    const variables = (...credentialKeys: ReadonlyArray<string>) =>
      variablesOfProvider({ type: "github", credentialKeys }).map(([name]) => name)
    expect(variables("token")).toEqual(["GITHUB_TOKEN", "GH_TOKEN"])
    expect(variables("GH_TOKEN")).toEqual(["GH_TOKEN"])
    expect(variables("MINE")).toEqual(["MINE"])
  })
})

describe("the rules of providers", () => {
  it("are valid in a policy for every profile that there is", () => {
    for (const { id } of providerProfiles) {
      const rules = providerRules([{ name: `my-${id}`, type: id }])
      expect(Object.keys(rules)).toEqual([`_provider_my-${id}`])
      const policy = composePolicy({ version: 1 }, rules)
      expect(policy === undefined ? "none" : contentRefusal(policy)).toBeUndefined()
    }
  })

  it("are none for a provider without a profile", () => {
    expect(providerRules([{ name: "p", type: "generic" }])).toEqual({})
  })
})
