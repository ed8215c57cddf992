/** What attached providers put into a sandbox's environment: pure. */
import { createHash } from "node:crypto"
import type { Provider } from "./Provider.ts"
import type { ProviderProfile } from "./ProviderProfile.ts"
import { profileOf } from "./ProviderProfiles.ts"

/** What of a provider decides about names; the values come from elsewhere. */
export type Named = Pick<Provider, "id" | "name" | "type" | "credentialKeys">

export interface CredentialBinding {
  readonly endpoints: ReadonlyArray<{ readonly host: string; readonly port: number; readonly path: string }>
  readonly credentialIdentity: string
  readonly workloadCredentialHandle: string
}

export interface EnvironmentQuery {
  readonly sandboxId: string
  readonly supportsStaticCredentialBindings: boolean
}

export interface ProviderEnvironment {
  readonly environment: Readonly<Record<string, string>>
  /** 64 bits as a decimal number; `0` without providers. */
  readonly revision: string
  readonly credentialExpiresAtMs: Readonly<Record<string, number>>
  readonly staticCredentialBindings: Readonly<Record<string, CredentialBinding>>
}

/** A credential named as its profile names it goes into all variables of the profile; any other is a variable. */
const variablesOf = (profile: ProviderProfile | undefined, key: string): ReadonlyArray<string> => {
  const known = profile?.credentials.find(({ name }) => name === key)
  return known === undefined || known.envVars.includes(key) ? [key] : known.envVars
}

/** Every variable that a provider sets, with the credential that it carries. */
export const variablesOfProvider = (
  provider: Pick<Named, "type" | "credentialKeys">,
): ReadonlyArray<readonly [variable: string, key: string]> => {
  const profile = profileOf(provider.type)
  return provider.credentialKeys.flatMap((key) =>
    variablesOf(profile, key).map((variable) => [variable, key] as const),
  )
}

/** Why these providers cannot be attached together, or undefined. */
export const conflictOf = (providers: ReadonlyArray<Named>): string | undefined => {
  const owners = new Map<string, string>()
  for (const provider of providers) {
    for (const [variable, key] of variablesOfProvider(provider)) {
      const owner = owners.get(variable)
      const own = `${provider.name}.${key}`
      if (owner !== undefined && owner !== own)
        return `provider environment conflict: '${variable}' is set by '${owner}' and by '${own}'`
      owners.set(variable, own)
    }
  }
  return undefined
}

const isExpired = (provider: Provider, key: string, nowMs: number): boolean => {
  const expiresAtMs = provider.credentialExpiresAtMs[key] ?? 0
  return expiresAtMs > 0 && expiresAtMs <= nowMs
}

/**
 * A change detector: it differs when the attached providers, their records or the set of expired credentials
 * differ. `0` without providers.
 */
export const revisionOf = (providers: ReadonlyArray<Provider>, nowMs: number): string => {
  if (providers.length === 0) return "0"
  const parts = providers.map((provider) => [
    provider.id,
    provider.resourceVersion,
    provider.credentialKeys.filter((key) => isExpired(provider, key, nowMs)).toSorted(),
  ])
  return createHash("sha256").update(JSON.stringify(parts)).digest().readBigUInt64LE(0).toString()
}

const handleOf = (provider: Provider, key: string): string =>
  createHash("sha256").update(`${provider.id}\0${key}`).digest("hex").slice(0, 32)

/** `credentials`: the values by provider id and credential. Expired ones are left out. */
export const compose = (
  providers: ReadonlyArray<Provider>,
  credentials: ReadonlyMap<string, Readonly<Record<string, string>>>,
  nowMs: number,
): ProviderEnvironment => {
  const environment: Record<string, string> = {}
  const expiries: Record<string, number> = {}
  const bindings: Record<string, CredentialBinding> = {}
  for (const provider of providers) {
    const endpoints = profileOf(provider.type)?.endpoints ?? []
    for (const [variable, key] of variablesOfProvider(provider)) {
      const value = credentials.get(provider.id)?.[key]
      if (value === undefined || isExpired(provider, key, nowMs)) continue
      environment[variable] = value
      const expiresAtMs = provider.credentialExpiresAtMs[key] ?? 0
      if (expiresAtMs > 0) expiries[variable] = expiresAtMs
      if (endpoints.length > 0)
        bindings[variable] = {
          endpoints: endpoints.map(({ host, port, path }) => ({ host, port, path })),
          credentialIdentity: `${provider.id}/${key}`,
          workloadCredentialHandle: handleOf(provider, key),
        }
    }
  }
  return {
    environment,
    revision: revisionOf(providers, nowMs),
    credentialExpiresAtMs: expiries,
    staticCredentialBindings: bindings,
  }
}
