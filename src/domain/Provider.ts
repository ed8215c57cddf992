/** Providers: credentials and configuration of a service outside, which sandboxes are given by name. */
import type { Sandbox } from "./Sandbox.ts"

type StringMap = Readonly<Record<string, string>>

export interface Provider {
  readonly id: string
  readonly workspace: string
  readonly name: string
  readonly createdAtMs: number
  readonly labels: StringMap
  readonly annotations: StringMap
  readonly resourceVersion: number
  /** The id of a profile, or a word of the user's own. */
  readonly type: string
  /** Their names; the values are known to the vault alone. */
  readonly credentialKeys: ReadonlyArray<string>
  readonly config: StringMap
  /** By credential; absent means that it does not expire. */
  readonly credentialExpiresAtMs: Readonly<Record<string, number>>
  readonly profileWorkspace: string
}

/** What is shown in place of a credential, and what leaves it as it is when it comes back in an update. */
export const redacted = "REDACTED"

/** A provider as a caller writes it, in a creation or a change. */
export interface ProviderDraft {
  readonly workspace: string
  /** Undefined where the request has no provider at all. */
  readonly provider: ProviderFields | undefined
}

export interface ProviderFields {
  readonly name: string
  readonly labels: StringMap
  readonly annotations: StringMap
  /** 0: not asked for. */
  readonly resourceVersion: number
  readonly type: string
  readonly credentials: StringMap
  readonly config: StringMap
  readonly credentialExpiresAtMs: Readonly<Record<string, number>>
  readonly profileWorkspace: string
  readonly hasCredentialHandles: boolean
}

export interface ProviderName {
  readonly name: string
  readonly workspace: string
}

export interface ProviderQuery {
  /** 0 leaves it to the gateway. */
  readonly limit: number
  readonly offset: number
  readonly workspace: string
  readonly allWorkspaces: boolean
}

export interface Attachment {
  readonly sandboxName: string
  readonly providerName: string
  /** 0: not asked for. */
  readonly expectedResourceVersion: number
  readonly workspace: string
}

/** The sandbox after the change, and whether there was anything to change. */
export interface AttachmentChange {
  readonly sandbox: Sandbox
  readonly changed: boolean
}

export interface RefreshQuery {
  readonly provider: string
  readonly credentialKey: string
  readonly workspace: string
}

/** How a credential of a provider is renewed; here always by whoever updates the provider. */
export interface RefreshStatus {
  readonly providerName: string
  readonly providerId: string
  readonly credentialKey: string
  readonly status: "static" | "expired"
  /** 0: never. */
  readonly expiresAtMs: number
}
