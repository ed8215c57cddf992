/** What supervisors ask besides their session. */

/** How a sandbox's main process ended. */
export interface MainExit {
  readonly sandboxId: string
  readonly instanceId: string
  readonly exitCode: number
}

/** What a sandbox's providers give it. */
export interface ProviderVariables {
  readonly variables: Readonly<Record<string, string>>
  /** When some of them end. */
  readonly expiresAtMs: ReadonlyArray<number>
}

export interface TokenRefresh {
  readonly extensionServiceNames: ReadonlyArray<string>
}

export interface IssuedToken {
  readonly token: string
  /** 0: never. */
  readonly expiresAtMs: number
}

/** With which a sandbox speaks to a service beside the gateway. */
export interface ExtensionCredential extends IssuedToken {
  readonly serviceName: string
}

export interface RefreshedToken extends IssuedToken {
  readonly extensionCredentials: ReadonlyArray<ExtensionCredential>
}
