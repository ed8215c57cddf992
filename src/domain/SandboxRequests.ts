/** What is asked of sandboxes, of their logs and of their lives. */
import type { LogLine, PlatformEvent, Sandbox, SandboxSpec } from "./Sandbox.ts"

/** An empty workspace is the default one. */
export interface SandboxName {
  readonly name: string
  readonly workspace: string
}

export interface NewSandbox extends SandboxName {
  readonly spec: SandboxSpec
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

export interface SandboxQuery {
  /** 0 leaves it to the gateway. */
  readonly limit: number
  readonly offset: number
  /** `k=v,k2=v2` */
  readonly labelSelector: string
  readonly workspace: string
  readonly allWorkspaces: boolean
}

/** Which lines of a sandbox's log. */
export interface LogQuery {
  readonly sandboxId: string
  /** The last so many; 0 leaves it to the gateway. */
  readonly lines: number
  readonly sinceMs: number
  /** Empty for all. */
  readonly sources: ReadonlyArray<string>
  readonly minLevel: string
}

/** A line as a sandbox sends it; whose it is and where it came from is for the gateway to say. */
export type PushedLine = Omit<LogLine, "sandboxId" | "source">

export interface PushedLines {
  readonly sandboxId: string
  readonly lines: ReadonlyArray<PushedLine>
}

export interface WatchQuery {
  readonly sandboxId: string
  readonly followStatus: boolean
  readonly followLogs: boolean
  readonly followEvents: boolean
  /** 0 leaves it to the gateway. */
  readonly logTailLines: number
  readonly eventTail: number
  /** Ends the stream once the sandbox is ready. */
  readonly stopOnTerminal: boolean
  readonly logSinceMs: number
  readonly logSources: ReadonlyArray<string>
  readonly logMinLevel: string
}

export interface DraftUpdate {
  readonly draftVersion: number
  /** Pending ones that were not there at the last update. */
  readonly newChunks: number
  readonly totalPending: number
  readonly summary: string
}

export type WatchEvent =
  | { readonly _tag: "Status"; readonly sandbox: Sandbox }
  | { readonly _tag: "Log"; readonly line: LogLine }
  | { readonly _tag: "Event"; readonly event: PlatformEvent }
  /** Rules were proposed for the sandbox's policy, or decided on. */
  | ({ readonly _tag: "Drafts" } & DraftUpdate)
  | { readonly _tag: "Warning"; readonly message: string }
  /** Of a later version. */
  | { readonly _tag: "Unknown" }
