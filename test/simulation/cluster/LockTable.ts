/**
 * Liveness and shard locks in the simulated database, held by sessions as Postgres holds them: a session that
 * stays silent for the lease, or whose process dies, loses all it holds.
 */
import type { Member } from "../../../src/cluster/Membership.ts"
import type { SimDatabase } from "../store/SimDatabase.ts"

export interface Session {
  readonly owner: Member
  alive: boolean
  heardMs: number
}

export class LockTable {
  readonly #database: SimDatabase
  readonly #leaseMs: number
  /** After a restart of the database shards stay with their owners this long. */
  readonly #graceMs: number
  #listed: ReadonlyArray<Member> | undefined
  #restartedMs = Number.NEGATIVE_INFINITY
  readonly #live = new Map<string, Session>()
  readonly #shards = new Map<number, Session>()
  readonly #members = new Map<string, Member>()
  /** Whether a lock that another session holds may be had nevertheless. A planted mistake says yes. */
  grants: (shard: number) => boolean = () => false
  /** A shard has a new owner. */
  onTaken: (shard: number, epoch: number, owner: string) => void = () => undefined

  /** A lock session has ended, in order or not. */
  onEnded: (incarnation: string) => void = () => undefined

  constructor(database: SimDatabase, leaseMs: number, graceMs: number) {
    this.#database = database
    this.#leaseMs = leaseMs
    this.#graceMs = graceMs
  }

  /** A new session that is the liveness of its replica, or undefined while another of that name is alive. */
  begin(owner: Member): Session | undefined {
    this.#expire()
    const current = this.#live.get(owner.name)
    if (current !== undefined) return undefined
    const session = { owner, alive: true, heardMs: this.#nowMs }
    this.#live.set(owner.name, session)
    this.#members.set(owner.name, owner)
    this.#listed = undefined
    return session
  }

  /** Something was said on the session. False: it is no more. */
  hear(session: Session): boolean {
    this.#expire()
    if (!session.alive) return false
    session.heardMs = this.#nowMs
    return true
  }

  end(session: Session): void {
    if (!session.alive) return
    session.alive = false
    this.#listed = undefined
    this.onEnded(session.owner.incarnation)
    if (this.#live.get(session.owner.name) === session) this.#live.delete(session.owner.name)
    for (const [shard, holder] of this.#shards) if (holder === session) this.#shards.delete(shard)
  }

  /** The database is restarted: all locks fall. */
  restart(): void {
    this.#restartedMs = this.#nowMs
    for (const session of [...this.#live.values()]) this.end(session)
  }

  /** Removes a member that leaves in order. */
  leave(session: Session): void {
    this.#members.delete(session.owner.name)
    this.#listed = undefined
    this.end(session)
  }

  /** The same list as long as nothing changes. */
  members(): ReadonlyArray<Member> {
    this.#expire()
    this.#listed ??= [...this.#members.values()].map((member) => ({
      ...member,
      live: this.#live.get(member.name)?.owner.incarnation === member.incarnation,
    }))
    return this.#listed
  }

  isLive(incarnation: string): boolean {
    return this.members().some((member) => member.live && member.incarnation === incarnation)
  }

  /** Takes what is free, raising epochs; answers with what was taken. */
  take(session: Session, shards: ReadonlyArray<number>): ReadonlyMap<number, number> {
    const taken = new Map<number, number>()
    const owner = session.owner.incarnation
    for (const shard of shards) {
      const holder = this.#shards.get(shard)
      if (holder !== undefined && holder !== session && !this.grants(shard)) continue
      const row = this.#database.epochs.get(shard)
      if (row !== undefined && row.owner !== owner && this.#nowMs - this.#restartedMs < this.#graceMs)
        continue
      // A writer of the former owner that is under way comes first.
      if (this.#database.shared(shard)) continue
      const epoch = (row?.epoch ?? 0) + 1
      this.#database.epochs.set(shard, { epoch, owner })
      this.#shards.set(shard, session)
      taken.set(shard, epoch)
      this.onTaken(shard, epoch, owner)
    }
    return taken
  }

  /** After a reconnect: locks again what nobody took in between. */
  reclaim(session: Session, epochs: ReadonlyMap<number, number>): ReadonlySet<number> {
    const kept = new Set<number>()
    for (const [shard, epoch] of epochs) {
      const row = this.#database.epochs.get(shard)
      if (row?.owner !== session.owner.incarnation || row.epoch !== epoch || this.#shards.has(shard)) continue
      this.#shards.set(shard, session)
      kept.add(shard)
    }
    return kept
  }

  release(session: Session, shard: number): void {
    if (this.#shards.get(shard) === session) this.#shards.delete(shard)
  }

  get #nowMs(): number {
    return this.#database.process.kernel.nowMs
  }

  #expire(): void {
    for (const session of [...this.#live.values()])
      if (this.#nowMs - session.heardMs > this.#leaseMs) this.end(session)
  }
}
