/** Where everything is: the replicas of a cluster and what each of them holds. */
export interface ReplicaStatus {
  readonly name: string
  /** `host:port` for its peers. */
  readonly address: string
  readonly url: string
  readonly live: boolean
  readonly shards: number
  readonly sessions: number
  readonly relays: number
  readonly startedAtMs: number
  /** It is the replica that answered. */
  readonly self: boolean
  readonly version: string
  readonly draining: boolean
  readonly drainRemaining: number
}

export interface ClusterStatus {
  readonly clusterId: string
  readonly answeredBy: string
  readonly replicas: ReadonlyArray<ReplicaStatus>
  /** Sessions of the fullest live replica over the mean; 0 without sessions. */
  readonly skew: number
}

export interface DrainRequest {
  readonly name: string
  /** 0 for the replica's own setting. */
  readonly deadlineMs: number
  /** Ends a drain instead. */
  readonly cancel: boolean
}

export interface DrainState {
  readonly draining: boolean
  /** Sessions and calls that are still there. */
  readonly remaining: number
}

/** By id or, where that is empty, by name and workspace. */
export interface PlaceQuery {
  readonly sandboxId: string
  readonly name: string
  readonly workspace: string
}

export interface SandboxPlace {
  readonly sandboxId: string
  readonly shard: number
  readonly epoch: number
  readonly owner: string
  readonly answeredBy: string
  /** Empty while no replica holds a session, and then so are the next two. */
  readonly sessionHolder: string
  readonly sessionId: string
  readonly attachedAtMs: number
}
