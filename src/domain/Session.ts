/** What a supervisor and a gateway say to each other on a session, in either direction. */
import type { RelayTarget } from "./Sandbox.ts"

/** What a supervisor can do beyond OpenShell's. */
export interface SupervisorCapabilities {
  /** Counts the connections of one instance. */
  readonly connectionEpoch: number
  readonly instanceStartedAtMs: number
  /** Ends resumable streams itself. */
  readonly resume: boolean
  /** Opens another session when it is asked to. */
  readonly redirect: boolean
  /** Refuses what is asked under an epoch older than one already seen. */
  readonly fence: boolean
  /** Runs commands of resumable streams itself. */
  readonly exec: boolean
  /** Reads its configuration when it is told that it changed. */
  readonly configPush: boolean
  readonly liveChannelIds: ReadonlyArray<string>
}

export interface SupervisorHello {
  readonly sandboxId: string
  readonly instanceId: string
  /** Absent: an OpenShell supervisor. */
  readonly capabilities?: SupervisorCapabilities
}

/** The answer to one request for a relay. */
export interface RelayVerdict {
  readonly channelId: string
  readonly success: boolean
  readonly error: string
}

export interface RelayClosed {
  readonly channelId: string
  readonly reason: string
}

export type SupervisorMessage =
  | ({ readonly _tag: "Hello" } & SupervisorHello)
  | { readonly _tag: "Heartbeat" }
  | ({ readonly _tag: "RelayOpenResult" } & RelayVerdict)
  | ({ readonly _tag: "RelayClose" } & RelayClosed)
  /** Of a later version. */
  | { readonly _tag: "Unknown" }

/** How a gateway wants to be treated. */
export interface SessionAdvice {
  /** Over how long sessions that are lost together should come back. */
  readonly reconnectSpreadMs: number
  readonly configPollMs: number
}

/** What a gateway of ours adds to its answer. */
export interface SessionTerms {
  /** Of the owner that answered; 0 where it is not known. */
  readonly epoch: number
  readonly replica: string
  /** How long to stay away; 0 leaves it to the supervisor. */
  readonly reconnectDelayMs: number
  readonly fence: boolean
  /** Another replica to ask; empty for none. */
  readonly redirectUrl: string
  readonly advice?: SessionAdvice
}

export interface SessionAccepted {
  readonly sessionId: string
  /** Whole seconds on the wire. */
  readonly heartbeatMs: number
  readonly terms?: SessionTerms
}

export interface SessionRejected {
  readonly reason: string
  readonly terms?: SessionTerms
}

/** Under which epoch a relay is asked for, and the resumable stream that it is to carry. */
export interface RelayFence {
  readonly epoch: number
  readonly binding: string
  /** `key`: hex. The kinds of a later version are not known here. */
  readonly stream?: { readonly key: string; readonly kind: string }
}

export interface RelayOpen {
  readonly channelId: string
  readonly target: RelayTarget
  readonly serviceId: string
  readonly fence?: RelayFence
}

/** Another session is wanted, at that URL or, where it is empty, at the configured address. */
export interface SessionMove {
  readonly url: string
  readonly reason: string
}

/** The configuration is to be read again, after a random wait up to `spreadMs`. */
export interface ConfigChanged {
  readonly spreadMs: number
}

export type GatewayMessage =
  | ({ readonly _tag: "Accepted" } & SessionAccepted)
  | ({ readonly _tag: "Rejected" } & SessionRejected)
  | { readonly _tag: "Heartbeat"; readonly advice?: SessionAdvice }
  | ({ readonly _tag: "RelayOpen" } & RelayOpen)
  | ({ readonly _tag: "RelayClose" } & RelayClosed)
  | ({ readonly _tag: "Move" } & SessionMove)
  | ({ readonly _tag: "ConfigChanged" } & ConfigChanged)
  /** Of a later version. */
  | { readonly _tag: "Unknown" }
