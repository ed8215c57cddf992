/** A cluster as a drill sees it: addresses, and where there are any, handles on its processes. */
import type { Effect, Scope } from "effect"
import type { Endpoint } from "../../client/Endpoint.ts"
import type { Sandbox } from "../../domain/Sandbox.ts"
import type { DrillError } from "../DrillError.ts"

export interface SiteReplica {
  readonly name: string
  /** On which clients reach this replica and no other. */
  readonly url: string
  /** Of its process, where that is on this machine. */
  readonly pid?: number
}

/** Sessions of supervisors that nobody uses. */
export interface IdleSessions {
  readonly count: number
  /** Of these, the sessions that are up. */
  readonly attached: () => number
  /** Sessions accepted since the start, so those that came again are what exceeds the count. */
  readonly attaches: () => number
}

/** Each completes when it is done. Names are those of replicas. */
export interface Controls {
  /** SIGKILL. */
  readonly kill: (name: string) => Effect.Effect<void, DrillError>
  /** SIGTERM, which drains it. */
  readonly stop: (name: string) => Effect.Effect<void, DrillError>
  /** Starts one that is not running and waits until it is ready. */
  readonly start: (name: string) => Effect.Effect<void, DrillError>
  readonly freeze: (name: string) => Effect.Effect<void, DrillError>
  readonly thaw: (name: string) => Effect.Effect<void, DrillError>
  /** One more replica, ready. */
  readonly add: Effect.Effect<SiteReplica, DrillError>
  readonly database: {
    readonly stop: Effect.Effect<void, DrillError>
    readonly start: Effect.Effect<void, DrillError>
  }
  /** Undefined where the network is not the drill's. */
  readonly links: Links | undefined
}

/** Which way nothing passes, seen from the replica that is cut off. */
export type Cut = "outgoing" | "incoming" | "both"

/** Stands for Postgres among the names of what can be cut off. */
export const database = ""

/** Between one replica on one side and all others and Postgres on the other. Clients are not concerned. */
export interface Links {
  /** Bytes vanish and no connection ends, as when packets are dropped. */
  readonly cut: (name: string, cut: Cut) => Effect.Effect<void, DrillError>
  readonly heal: (name: string) => Effect.Effect<void, DrillError>
}

export interface Site {
  /** The address that clients use. */
  readonly endpoint: Endpoint
  readonly workspace: string
  /** Those that run. */
  readonly replicas: Effect.Effect<ReadonlyArray<SiteReplica>, DrillError>
  /** Undefined for a cluster elsewhere, to which the operator does the fault. */
  readonly controls: Controls | undefined
  /** Starts the processes of a sandbox, where the cluster itself runs none. */
  readonly run?: (sandbox: Sandbox) => Effect.Effect<void, DrillError>
  /** Opens so many sessions and keeps them with the scope; completes when all are up. */
  readonly idleSessions?: (count: number) => Effect.Effect<IdleSessions, DrillError, Scope.Scope>
  /** Transactions of its database so far, those of everybody, where it is the drill's own. */
  readonly transactions?: Effect.Effect<number, DrillError>
  /** How long its replicas let relays run that cannot move, where that is known. */
  readonly drainDeadlineMs?: number
  /** It goes away with the drill, so nothing in it needs to be put back. */
  readonly disposable: boolean
}
