/** The rules of a sandbox's policy that its providers bring: pure. */
import { type ProviderRules, providerRulePrefix } from "./Policy.ts"
import type { Provider } from "./Provider.ts"
import { profileOf } from "./ProviderProfiles.ts"

/** One rule for each provider whose profile names endpoints, in force for every program of the sandbox. */
export const providerRules = (providers: ReadonlyArray<Pick<Provider, "name" | "type">>): ProviderRules =>
  Object.fromEntries(
    providers.flatMap(({ name, type }) => {
      const endpoints = profileOf(type)?.endpoints ?? []
      if (endpoints.length === 0) return []
      const key = `${providerRulePrefix}${name}`
      return [
        [
          key,
          {
            name: key,
            endpoints: endpoints.map(({ host, port, protocol, access }) => ({
              host,
              port,
              protocol,
              access,
              enforcement: "enforce",
              credentialBinding: { provider: name },
              providerCredentialed: true,
            })),
          },
        ] as const,
      ]
    }),
  )
