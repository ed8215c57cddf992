/** What supervisors ask besides their session. */

/** How a sandbox's main process ended. */
export interface MainExit {
  readonly sandboxId: string
  readonly instanceId: string
  readonly exitCode: number
}

/** What a supervisor of ours heeds of its configuration. */
export interface SeenConfig {
  /** Changes whenever the provider environment does; opaque. */
  readonly providerEnvRevision: string
}

export interface TokenRefresh {
  readonly extensionServiceNames: ReadonlyArray<string>
}

export interface IssuedToken {
  readonly token: string
  readonly expiresAtMs: number
}

/** Where a sandbox's inference goes. */
export interface InferenceBundle {
  /** Hex; changes whenever the routes do. */
  readonly revision: string
  readonly generatedAtMs: number
}
