/** Who the gateway is and who a caller is. */
export interface Health {
  readonly version: string
}

/** What any gateway of the wire says of itself. */
export interface SeenHealth extends Health {
  readonly status: "unspecified" | "healthy" | "degraded" | "unhealthy" | "unknown"
}

export interface GatewayInfo {
  readonly version: string
  readonly drivers: ReadonlyArray<{ readonly name: string; readonly version: string }>
}

export interface CurrentUser {
  readonly subject: string
  readonly displayName: string
  readonly roles: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly identityProvider: string
}
