/** What providers and inference routes may look like (wire contract 1.3, Appendix A): pure. */
import { environmentKey } from "../domain/ExecRequest.ts"
import { limits } from "../domain/Limits.ts"
import { type ProviderFields, redacted } from "../domain/Provider.ts"

const bytes = (text: string) => Buffer.byteLength(text, "utf8")
const objectName = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/
/** Names that steer a supervisor; it would not pass them on. */
const reserved = /^(OPENSHELL|HOLDFAST)_/i

type Entries = Readonly<Record<string, string>>

const refusalOfName = (name: string): string | undefined => {
  if (name.length > limits.objectNameLength)
    return `provider.name exceeds ${limits.objectNameLength} characters`
  return objectName.test(name)
    ? undefined
    : "provider.name must begin and end with a letter or digit and hold letters, digits, '.', '_' and '-'"
}

const refusalOfType = (type: string): string | undefined => {
  if (type === "") return "provider.type is required"
  if (type.length > limits.providerTypeLength)
    return `provider.type exceeds ${limits.providerTypeLength} characters`
  return /^[\w.-]+$/.test(type) ? undefined : "provider.type may hold letters, digits, '.', '_' and '-'"
}

const refusalOfCredentials = (credentials: Entries): string | undefined => {
  const entries = Object.entries(credentials)
  if (entries.length > limits.providerCredentials)
    return `provider.credentials exceed ${limits.providerCredentials} entries`
  for (const [key, value] of entries) {
    if (!environmentKey.test(key) || bytes(key) > limits.environmentKeyBytes)
      return `provider.credentials: invalid key '${key.slice(0, limits.environmentKeyBytes)}'`
    if (value === redacted)
      return `provider.credentials['${key}'] is what is shown in place of a credential, not one`
    if (reserved.test(key)) return `provider.credentials: key '${key}' is reserved`
    if (bytes(value) > limits.environmentValueBytes)
      return `provider.credentials['${key}'] exceeds ${limits.environmentValueBytes} bytes`
    if (value.includes("\0")) return `provider.credentials['${key}'] contains a NUL byte`
  }
  return undefined
}

const refusalOfConfig = (config: Entries): string | undefined => {
  const entries = Object.entries(config)
  if (entries.length > limits.providerConfigEntries)
    return `provider.config exceeds ${limits.providerConfigEntries} entries`
  for (const [key, value] of entries) {
    if (key === "" || bytes(key) > limits.environmentKeyBytes)
      return `provider.config: keys have 1 to ${limits.environmentKeyBytes} bytes`
    if (bytes(value) > limits.environmentValueBytes)
      return `provider.config['${key}'] exceeds ${limits.environmentValueBytes} bytes`
  }
  return undefined
}

const refusalOfExpiries = (fields: Pick<ProviderFields, "credentials" | "credentialExpiresAtMs">) => {
  const stranger = Object.keys(fields.credentialExpiresAtMs).find(
    (key) => !Object.hasOwn(fields.credentials, key),
  )
  return stranger === undefined
    ? undefined
    : `credential_expires_at_ms: '${stranger}' is not a credential of the provider`
}

/** Why a provider as it would be stored is refused, or undefined. The first rule that it breaks decides. */
export const refusalOfProvider = (fields: ProviderFields): string | undefined => {
  if (fields.hasCredentialHandles) return "provider.credential_handles are made by the gateway"
  const refusal =
    refusalOfName(fields.name) ??
    refusalOfType(fields.type) ??
    refusalOfCredentials(fields.credentials) ??
    refusalOfConfig(fields.config) ??
    refusalOfExpiries(fields)
  if (refusal !== undefined) return refusal
  return Object.values(fields.credentials).some((value) => value === "") ||
    Object.keys(fields.credentials).length === 0
    ? "provider.credentials must not be empty"
    : undefined
}

export const refusalOfModel = (modelId: string): string | undefined => {
  if (modelId === "") return "model_id is required"
  if (modelId.length > limits.modelIdLength) return `model_id exceeds ${limits.modelIdLength} characters`
  // Printable ASCII without blanks: it stands in JSON bodies and, for some providers, in paths.
  return /^[\x21-\x7e]+$/.test(modelId) ? undefined : "model_id must be printable and hold no blanks"
}

/** Why it is no base URL of an inference endpoint, or undefined. */
export const refusalOfBaseUrl = (text: string): string | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) return "base url must be an http or https URL"
  if (url.username !== "" || url.password !== "") return "base url must not hold credentials"
  return url.search === "" && url.hash === "" ? undefined : "base url must not hold a query or fragment"
}
