import { limits } from "../../domain/Limits.ts"

/** How many bytes a sender may have in flight towards us. */
export interface WindowOptions {
  readonly streamBytes: number
  readonly sessionBytes: number
  /** Largest frame we let the other side send; the HTTP/2 default when absent. */
  readonly frameBytes?: number
}

/** What both ends tell node:http2. `setLocalWindowSize(sessionBytes)` follows once the session exists. */
export const sessionOptions = (windows: WindowOptions) => ({
  settings: {
    initialWindowSize: windows.streamBytes,
    maxConcurrentStreams: limits.streamsPerConnection,
    maxFrameSize: windows.frameBytes ?? limits.frameBytes,
    enablePush: false,
  },
  maxSessionMemory: limits.http2SessionMemoryMb,
})
