/** What a client presents to open forwards to one sandbox, and where to present it. */
export interface SshSession {
  readonly sandboxId: string
  readonly token: string
  readonly gatewayHost: string
  readonly gatewayPort: number
  /** `http` or `https` */
  readonly gatewayScheme: string
  /** Unix milliseconds; 0 never expires. */
  readonly expiresAtMs: number
}
