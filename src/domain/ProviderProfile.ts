/** What is known of a kind of provider: its credentials, where it is reached, and how it speaks. */

export type ProfileCategory =
  | "other"
  | "inference"
  | "agent"
  | "source_control"
  | "messaging"
  | "data"
  | "knowledge"

export interface ProfileCredential {
  readonly name: string
  readonly description: string
  /** Variables that carry it in a sandbox. */
  readonly envVars: ReadonlyArray<string>
  readonly required: boolean
  /** `bearer`, `header` or empty. */
  readonly authStyle: string
  readonly headerName: string
}

export interface ProfileEndpoint {
  readonly host: string
  readonly port: number
  /** Empty: any path. */
  readonly path: string
  readonly protocol: "rest"
  readonly access: "full"
}

/** How an inference provider is asked. */
export interface ProfileInference {
  readonly baseUrl: string
  /** The key of a provider's config that replaces the base URL. */
  readonly baseUrlKey: string
  /** The first of these that is set is the API key. */
  readonly credentialKeys: ReadonlyArray<string>
  readonly protocols: ReadonlyArray<string>
  /** Headers of a request with that key. */
  readonly headers: (apiKey: string) => Readonly<Record<string, string>>
}

export interface ProviderProfile {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly category: ProfileCategory
  readonly credentials: ReadonlyArray<ProfileCredential>
  readonly endpoints: ReadonlyArray<ProfileEndpoint>
  readonly inference?: ProfileInference
}

/** A profile that somebody wants to have looked at. */
export interface ProfileDraft {
  readonly source: string
  readonly id: string
  readonly displayName: string
  readonly credentials: ReadonlyArray<
    Pick<ProfileCredential, "name" | "envVars" | "authStyle" | "headerName">
  >
  readonly endpoints: ReadonlyArray<Pick<ProfileEndpoint, "host" | "port">>
}

export interface ProfileDiagnostic {
  readonly source: string
  readonly profileId: string
  readonly field: string
  readonly message: string
  readonly severity: "error" | "warning"
}

export interface ProfileDrafts {
  readonly workspace: string
  readonly profiles: ReadonlyArray<ProfileDraft>
}

/** A profile as a client sees it. */
export interface SeenProfile {
  readonly id: string
  readonly displayName: string
  readonly description: string
  readonly category: string
  readonly inferenceCapable: boolean
  readonly credentials: ReadonlyArray<{ readonly name: string; readonly envVars: ReadonlyArray<string> }>
  readonly endpoints: ReadonlyArray<string>
}

export interface ProfilePage {
  readonly limit: number
  readonly offset: number
  readonly workspace: string
}

export interface ProfileName {
  readonly id: string
  readonly workspace: string
}
