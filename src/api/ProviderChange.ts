/** What an update makes of a provider: pure. */
import { type ProviderFields, redacted } from "../domain/Provider.ts"
import type { StoredProvider } from "../store/Providers.ts"

type Entries = Readonly<Record<string, string>>

/** An empty value removes an entry, an absent one stays; no entries at all change nothing. */
const merged = (old: Entries, given: Entries): Entries =>
  Object.fromEntries(Object.entries({ ...old, ...given }).filter(([, value]) => value !== ""))

const chosen = (old: Entries, given: Entries): Entries => (Object.keys(given).length === 0 ? old : given)

/**
 * The provider as it would be, with all its credentials. `secrets` are those it has. A credential that comes back
 * as it was shown stays; one that is replaced keeps no expiry but a new one.
 */
export const changed = (stored: StoredProvider, secrets: Entries, given: ProviderFields): ProviderFields => {
  const replaced = Object.fromEntries(
    Object.entries(given.credentials).filter(
      ([key, value]) => !(value === redacted && Object.hasOwn(secrets, key)),
    ),
  )
  const credentials = merged(secrets, replaced)
  const keptExpiries = Object.entries(stored.credentialExpiresAtMs).filter(
    ([key]) => Object.hasOwn(credentials, key) && !Object.hasOwn(replaced, key),
  )
  const expiries = Object.entries({ ...Object.fromEntries(keptExpiries), ...given.credentialExpiresAtMs })
  return {
    name: stored.name,
    labels: chosen(stored.labels, given.labels),
    annotations: chosen(stored.annotations, given.annotations),
    resourceVersion: given.resourceVersion,
    type: stored.type,
    credentials,
    config: merged(stored.config, given.config),
    credentialExpiresAtMs: Object.fromEntries(expiries.filter(([, expiresAtMs]) => expiresAtMs > 0)),
    profileWorkspace: given.profileWorkspace === "" ? stored.profileWorkspace : given.profileWorkspace,
    hasCredentialHandles: given.hasCredentialHandles,
  }
}
