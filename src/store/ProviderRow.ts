/** A provider as a row. */
import { Effect, Schema } from "effect"
import type { Provider } from "../domain/Provider.ts"

/** With its credentials as the vault sealed them. */
export interface StoredProvider extends Provider {
  readonly sealedCredentials: string
  /** Fingerprint of the key-encryption key. */
  readonly encryptionKey: string
}

const Texts = Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String }))

const Row = Schema.Struct({
  id: Schema.String,
  workspace: Schema.String,
  name: Schema.String,
  type: Schema.String,
  created_at_ms: Schema.Number,
  labels: Texts,
  annotations: Texts,
  config: Texts,
  profile_workspace: Schema.String,
  credential_keys: Schema.parseJson(Schema.Array(Schema.String)),
  credential_expires_at_ms: Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Number })),
  sealed_credentials: Schema.String,
  encryption_key: Schema.String,
  resource_version: Schema.Number,
})

const toProvider = (row: typeof Row.Type): StoredProvider => ({
  id: row.id,
  workspace: row.workspace,
  name: row.name,
  type: row.type,
  createdAtMs: row.created_at_ms,
  labels: row.labels,
  annotations: row.annotations,
  config: row.config,
  profileWorkspace: row.profile_workspace,
  credentialKeys: row.credential_keys,
  credentialExpiresAtMs: row.credential_expires_at_ms,
  sealedCredentials: row.sealed_credentials,
  encryptionKey: row.encryption_key,
  resourceVersion: row.resource_version,
})

const toRow = (provider: StoredProvider): typeof Row.Type => ({
  id: provider.id,
  workspace: provider.workspace,
  name: provider.name,
  type: provider.type,
  created_at_ms: provider.createdAtMs,
  labels: provider.labels,
  annotations: provider.annotations,
  config: provider.config,
  profile_workspace: provider.profileWorkspace,
  credential_keys: provider.credentialKeys,
  credential_expires_at_ms: provider.credentialExpiresAtMs,
  sealed_credentials: provider.sealedCredentials,
  encryption_key: provider.encryptionKey,
  resource_version: provider.resourceVersion,
})

const decode = Schema.decodeUnknown(Schema.Array(Row))

/** Rows of the providers table. */
export const decodeProviders = (rows: unknown) => Effect.map(decode(rows), (found) => found.map(toProvider))

/** The columns to write. */
export const encodeProvider = (provider: StoredProvider) => Schema.encodeSync(Row)(toRow(provider))
