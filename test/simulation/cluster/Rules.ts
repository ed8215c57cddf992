/** What the simulation builds replicas, supervisors and clients with; planted mistakes replace single members. */
import type { Context } from "effect"
import type { Ownership } from "../../../src/cluster/Ownership.ts"
import { limits } from "../../../src/domain/Limits.ts"
import type { LocalEdge } from "../../../src/edge/LocalEdge.ts"
import { Rendezvous } from "../../../src/edge/Rendezvous.ts"
import type { Arrivals } from "../../../src/sandbox/Arrivals.ts"
import type { Edges } from "../../../src/sandbox/Edges.ts"
import type { ActorClient } from "../../../src/sandbox/SandboxActors.ts"
import { type Core, makeCore } from "../../../src/stream/core/Core.ts"
import type { LockTable } from "./LockTable.ts"
import type { Replica } from "./Replica.ts"

export interface Rules {
  /** `delivered` is told of every leg that a ticket brought. */
  readonly rendezvous: (nowMs: () => number, delivered: (channelId: string) => void) => Rendezvous
  readonly ownership: (ownership: Context.Tag.Service<Ownership>) => Context.Tag.Service<Ownership>
  readonly edges: (edges: Context.Tag.Service<Edges>, replica: Replica) => Context.Tag.Service<Edges>
  /** What owners and peers reach of an edge. */
  readonly edge: (edge: LocalEdge["Type"], replica: Replica) => LocalEdge["Type"]
  readonly actor: (actor: ActorClient, sandboxId: string) => ActorClient
  /** What decides attaches of sandboxes whose actor sleeps. */
  readonly arrivals: (arrivals: Context.Tag.Service<Arrivals>) => Context.Tag.Service<Arrivals>
  readonly locks: (table: LockTable) => void
  /** Whether the database checks epochs. */
  readonly storeFences: boolean
  readonly sessionGraceMs: number
  readonly core: Core
  /** Kinds of violations that are overlooked, to see whether another check notices a mistake as well. */
  readonly overlooks: ReadonlyArray<string>
}

/** The real one, watched. */
export class WatchedRendezvous extends Rendezvous {
  readonly #delivered: (channelId: string) => void

  constructor(nowMs: () => number, delivered: (channelId: string) => void) {
    super(nowMs)
    this.#delivered = delivered
  }

  override redeem(channelId: string, ticket: string) {
    const deliver = super.redeem(channelId, ticket)
    if (typeof deliver !== "string") this.#delivered(channelId)
    return deliver
  }
}

/** Short, so that programs of a minute see it end. */
export const graceMs = Math.min(limits.sessionGraceMs, 15_000)

export const soundRules: Rules = {
  rendezvous: (nowMs, delivered) => new WatchedRendezvous(nowMs, delivered),
  ownership: (ownership) => ownership,
  edges: (edges) => edges,
  edge: (edge) => edge,
  actor: (actor) => actor,
  arrivals: (arrivals) => arrivals,
  locks: () => undefined,
  storeFences: true,
  sessionGraceMs: graceMs,
  core: makeCore(),
  overlooks: [],
}
