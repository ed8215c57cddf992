/** Providers between the domain and OpenShell's messages. Credentials go out as their names only. */
import { create } from "@bufbuild/protobuf"
import { Internal, InvalidArgument } from "../../domain/Errors.ts"
import { type Provider, type ProviderFields, type RefreshStatus, redacted } from "../../domain/Provider.ts"
import * as Wire from "./Generated.ts"

/** Throws InvalidArgument for what is not exact as a number. */
export const numberOf = (value: bigint, field: string): number => {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new InvalidArgument({ message: `${field} is out of range` })
  return Number(value)
}

const numbersOf = (map: Readonly<Record<string, bigint>>, field: string): Record<string, number> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, numberOf(value, `${field}['${key}']`)]))

const bigintsOf = (map: Readonly<Record<string, number>>): Record<string, bigint> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, BigInt(value)]))

export const providerToWire = (provider: Provider) =>
  create(Wire.ProviderSchema, {
    metadata: {
      id: provider.id,
      name: provider.name,
      createdAtMs: BigInt(provider.createdAtMs),
      labels: { ...provider.labels },
      annotations: { ...provider.annotations },
      resourceVersion: BigInt(provider.resourceVersion),
      workspace: provider.workspace,
    },
    type: provider.type,
    credentials: Object.fromEntries(provider.credentialKeys.map((key) => [key, redacted])),
    config: { ...provider.config },
    credentialExpiresAtMs: bigintsOf(provider.credentialExpiresAtMs),
    profileWorkspace: provider.profileWorkspace,
  })

export const providerOf = (wire: Wire.Provider | undefined): Provider => {
  if (wire?.metadata === undefined)
    throw new Internal({ message: "the gateway answered without the provider" })
  const { metadata } = wire
  return {
    id: metadata.id,
    workspace: metadata.workspace,
    name: metadata.name,
    createdAtMs: Number(metadata.createdAtMs),
    labels: metadata.labels,
    annotations: metadata.annotations,
    resourceVersion: Number(metadata.resourceVersion),
    type: wire.type,
    credentialKeys: Object.keys(wire.credentials).toSorted(),
    config: wire.config,
    credentialExpiresAtMs: numbersOf(wire.credentialExpiresAtMs, "credential_expires_at_ms"),
    profileWorkspace: wire.profileWorkspace,
  }
}

/** `expiries` are those of the request itself, over those of its provider. */
export const fieldsOf = (
  wire: Wire.Provider | undefined,
  expiries: Readonly<Record<string, bigint>> = {},
): ProviderFields | undefined =>
  wire === undefined
    ? undefined
    : {
        name: wire.metadata?.name ?? "",
        labels: wire.metadata?.labels ?? {},
        annotations: wire.metadata?.annotations ?? {},
        resourceVersion: numberOf(wire.metadata?.resourceVersion ?? 0n, "resource_version"),
        type: wire.type,
        credentials: wire.credentials,
        config: wire.config,
        credentialExpiresAtMs: numbersOf(
          { ...wire.credentialExpiresAtMs, ...expiries },
          "credential_expires_at_ms",
        ),
        profileWorkspace: wire.profileWorkspace,
        hasCredentialHandles: Object.keys(wire.credentialHandles).length > 0,
      }

export const fieldsToWire = (fields: ProviderFields) =>
  create(Wire.ProviderSchema, {
    metadata: {
      name: fields.name,
      labels: { ...fields.labels },
      annotations: { ...fields.annotations },
      resourceVersion: BigInt(fields.resourceVersion),
    },
    type: fields.type,
    credentials: { ...fields.credentials },
    config: { ...fields.config },
    credentialExpiresAtMs: bigintsOf(fields.credentialExpiresAtMs),
    profileWorkspace: fields.profileWorkspace,
  })

export const refreshStatusToWire = (status: RefreshStatus) =>
  create(Wire.ProviderCredentialRefreshStatusSchema, {
    providerName: status.providerName,
    providerId: status.providerId,
    credentialKey: status.credentialKey,
    strategy: Wire.ProviderCredentialRefreshStrategy.STATIC,
    status: status.status,
    expiresAtMs: BigInt(status.expiresAtMs),
  })
