/** Looks at every act and after every step, and says which promise was broken. */
import type { Context } from "effect"
import type { Fence } from "../../src/domain/Fence.ts"
import { limits } from "../../src/domain/Limits.ts"
import type { Arrivals } from "../../src/sandbox/Arrivals.ts"
import type { EdgeOpen } from "../../src/sandbox/Edges.ts"
import type { ActorClient } from "../../src/sandbox/SandboxActors.ts"
import type { AttachRequest } from "../../src/sandbox/SandboxEntity.ts"
import type { Cluster, Watch } from "./cluster/Cluster.ts"
import type { Replica } from "./cluster/Replica.ts"
import { graceMs } from "./cluster/Rules.ts"
import type { SimStream } from "./network/SimStream.ts"
import { Violation } from "./Violation.ts"

interface Relay {
  readonly replica: Replica
  readonly token: string
  readonly sandboxId: string
  readonly unit: string
  /** Its replica has left the cluster since: nobody can count it. */
  writtenOff: boolean
}

/** How far the clocks of two processes may differ here without a demotion counting as early. */
const clockSlackMs = 1_000
/** Buffers are looked at this often. */
const bufferSteps = 64

export class Watcher implements Watch {
  readonly #cluster: Cluster
  readonly #highest = new Map<string, number>()
  readonly #requests = new Map<string, EdgeOpen>()
  readonly #relays = new Map<string, Relay>()
  readonly #sessions = new Map<
    string,
    { readonly instance: number; readonly connection: number; readonly id: string }
  >()
  readonly #claims = new Map<string, { readonly instance: number; readonly connection: number }>()
  readonly #delivered = new Set<string>()
  readonly #phases = new Map<string, string>()
  #steps = 0
  /** Clocks were set: times of different processes cannot be compared. */
  clocksSet = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    cluster.database.onFenced = (fence, what) => this.writes(fence, what)
  }

  readonly drives = (replica: Replica, sandboxId: string, what: string): void => {
    const shard = this.#cluster.shardOf(sandboxId)
    if (!replica.locks.proves(shard))
      this.#violate(
        "proof",
        `${replica.incarnation} does ${what} of ${sandboxId} without a proof of ownership`,
      )
  }

  readonly commands = (replica: Replica, fence: Fence, what: string): (() => void) => {
    const key = `${replica.incarnation} ${fence.shard}`
    const before = this.#highest.get(key) ?? 0
    if (fence.epoch >= before) this.#highest.set(key, fence.epoch)
    return () => {
      if (fence.epoch < before)
        this.#violate(
          "epoch",
          `${replica.incarnation} ${what} under epoch ${fence.epoch} after epoch ${before}`,
        )
    }
  }

  readonly writes = (fence: Fence, what: string): void => {
    const epoch = this.#cluster.database.epochs.get(fence.shard)?.epoch
    if (epoch !== fence.epoch)
      this.#violate("stale write", `epoch ${fence.epoch} ${what}, but the epoch is ${epoch}`)
  }

  readonly asked = (request: EdgeOpen): void => {
    this.#cluster.kernel.trace.say(
      this.#cluster.kernel.nowMs,
      "edge",
      `open ${request.channelId} on session ${request.sessionId} for ${request.rendezvous.replica}`,
    )
    this.#requests.set(request.channelId, request)
  }

  readonly carries = (replica: Replica, channelId: string, stream: SimStream): void => {
    replica.process.say(`carries relay ${channelId}`)
    const request = this.#requests.get(channelId)
    if (request === undefined || request.tokenHash === "" || stream.destroyed) return
    const { tokenHash: token, sandboxId } = request
    if (this.#relays.has(channelId)) this.#violate("relay", `channel ${channelId} is carried twice`)
    this.#relays.set(channelId, {
      replica,
      token,
      sandboxId,
      unit: request.stream?.key ?? channelId,
      writtenOff: !this.#cluster.table.isLive(replica.incarnation),
    })
    stream.once("close", () => this.#relays.delete(channelId))
    this.#count(token, sandboxId)
  }

  readonly delivered = (replica: Replica, channelId: string): void => {
    const key = `${replica.incarnation} ${channelId}`
    if (this.#delivered.has(key)) this.#violate("ticket", `a ticket of ${replica.incarnation} was good twice`)
    this.#delivered.add(key)
  }

  readonly proves = (replica: Replica, shard: number): void => {
    if (!replica.locks.proves(shard))
      this.#violate("proof", `${replica.incarnation} acts for shard ${shard} without a proof of ownership`)
  }

  /** What supervisors said of their sessions, whatever becomes of it. */
  readonly actor = (actor: ActorClient): ActorClient => ({
    ...actor,
    Attach: (claim, options) => {
      this.#said(claim)
      return actor.Attach(claim, options)
    },
  })

  readonly arrivals = ({ attachAll }: Context.Tag.Service<Arrivals>): Context.Tag.Service<Arrivals> => ({
    attachAll: (arrivals) => {
      for (const { claim } of arrivals) this.#said(claim)
      return attachAll(arrivals)
    },
  })

  #said({ sessionId, instanceStartedAtMs, connectionEpoch }: AttachRequest): void {
    this.#claims.set(sessionId, { instance: instanceStartedAtMs, connection: connectionEpoch })
  }

  readonly took = (shard: number, epoch: number, owner: string): void => {
    this.#cluster.database.process.say(`shard ${shard} goes to ${owner} under epoch ${epoch}`)
  }

  readonly left = (incarnation: string): void => {
    for (const relay of this.#relays.values())
      if (relay.replica.incarnation === incarnation) relay.writtenOff = true
  }

  /** Slots that relays hold now, by token. */
  held(token: string): number {
    return new Set(this.#open((relay) => relay.token === token)).size
  }

  readonly check = (): void => {
    this.#steps += 1
    const { violation } = this.#cluster
    if (violation !== undefined) throw violation
    this.#owners()
    this.#presences()
    if (this.#steps % bufferSteps === 0) this.#buffers()
    if (this.#cluster.violation !== undefined) throw this.#cluster.violation
  }

  #owners(): void {
    for (const shard of this.#cluster.shards) {
      let owner: Replica | undefined
      for (const replica of this.#cluster.replicas.values()) {
        if (replica.process.state !== "running" || !replica.locks.proves(shard)) continue
        if (owner !== undefined)
          this.#violate(
            "owners",
            `shard ${shard} has the owners ${owner.incarnation} and ${replica.incarnation}`,
          )
        owner = replica
      }
    }
  }

  #presences(): void {
    const { presences, sandboxes } = this.#cluster.database
    for (const presence of presences.rows.values()) {
      const last = this.#sessions.get(presence.sandboxId)
      if (last?.id === presence.sessionId) continue
      const { sandboxId } = presence
      const { instance, connection } = this.#claims.get(presence.sessionId) ?? { instance: 0, connection: 0 }
      if (
        last !== undefined &&
        (instance < last.instance || (instance === last.instance && connection < last.connection))
      )
        this.#violate("session", `an older session of ${sandboxId} took the place of a newer one`)
      this.#sessions.set(sandboxId, { instance, connection, id: presence.sessionId })
    }
    for (const { id, status } of sandboxes.rows.values()) {
      if (status.phase === "Stopped") {
        // Its supervisors are gone; the order of those that come after a start begins anew.
        this.#sessions.delete(id)
        if (presences.rows.has(id)) this.#violate("session", `${id} is stopped and has a session`)
      }
      if (this.#phases.get(id) === "Ready" && status.phase === "Provisioning") this.#demoted(id)
      this.#phases.set(id, status.phase)
    }
  }

  /** A Ready sandbox lost its session and the grace period has passed, by the clocks of those who measured it. */
  #demoted(sandboxId: string): void {
    const lostAtMs = this.#cluster.database.presences.rows.get(sandboxId)?.lostAtMs
    const nowMs = this.#cluster.database.process.wallMs
    if (lostAtMs === undefined || (!this.clocksSet && nowMs - lostAtMs < graceMs - clockSlackMs))
      this.#violate("grace", `${sandboxId} was demoted before its grace period was over`)
  }

  #buffers(): void {
    for (const replica of this.#cluster.replicas.values())
      if (replica.rendezvous.size > limits.peerTickets)
        this.#violate("buffers", `${replica.incarnation} holds ${replica.rendezvous.size} tickets`)
    for (const sides of this.#cluster.network.connections())
      for (const { process, waitingBytes } of sides)
        if (waitingBytes() > limits.relayBufferBytes + limits.relayPayloadBytes)
          this.#violate("buffers", `${waitingBytes()} bytes wait in a stream of ${process.name}`)
  }

  #open(those: (relay: Relay) => boolean): ReadonlyArray<string> {
    return [...this.#relays.values()].flatMap((relay) =>
      !relay.writtenOff && relay.replica.process.state !== "dead" && those(relay) ? [relay.unit] : [],
    )
  }

  #count(token: string, sandboxId: string): void {
    const ofToken = this.held(token)
    if (ofToken > limits.connectionsPerToken)
      this.#violate("limit", `${ofToken} connections of one token are open`)
    const ofSandbox = new Set(this.#open((relay) => relay.sandboxId === sandboxId)).size
    if (ofSandbox > limits.connectionsPerSandbox)
      this.#violate("limit", `${ofSandbox} connections of one sandbox are open`)
  }

  #violate(kind: string, message: string): void {
    this.#cluster.violate(new Violation(kind, message))
  }
}
