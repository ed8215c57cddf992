/** Initial metadata of a `ForwardTcp` whose relay carries a resumable stream; without it the relay is a plain one. */
export const streamMetadata = { "holdfast-stream": "1" } as const

/** Status message of a supervisor's `RelayStream` whose token was revoked: the stream that it carries ends too. */
export const revokedText = "relay revoked"
