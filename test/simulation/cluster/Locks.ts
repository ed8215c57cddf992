/**
 * The lock session of one replica: its proof, the shards it holds and those it should hold. What `LockSession`,
 * `PgRunnerStorage` and the sharding loop do, without SQL.
 */
import { type Context, Effect } from "effect"
import type { Member, Membership } from "../../../src/cluster/Membership.ts"
import { makeFenceCheck, Ownership } from "../../../src/cluster/Ownership.ts"
import { limits } from "../../../src/domain/Limits.ts"
import type { Process } from "../kernel/Process.ts"
import type { Network } from "../network/Network.ts"
import type { SimDatabase } from "../store/SimDatabase.ts"
import type { LockTable, Session } from "./LockTable.ts"

/** Pause between two statements on the lock session; each proves it. */
const pollMs = 200

export interface LocksOptions {
  readonly process: Process
  readonly network: Network
  readonly database: SimDatabase
  readonly table: LockTable
  readonly self: Member
  readonly fenceMs: number
  readonly membership: Context.Tag.Service<Membership>
  readonly shards: ReadonlyArray<number>
  /** Ends the actors of those shards; then calls back. */
  readonly stopActors: (shards: ReadonlySet<number>, then: () => void) => void
}

/** Which of the members a shard belongs to: the highest hash of both. */
export const assigned = (shard: number, members: ReadonlyArray<string>): string | undefined => {
  let best: string | undefined
  let highest = -1
  for (const member of members) {
    let hash = 2_166_136_261 ^ shard
    for (const char of member) hash = Math.imul(hash ^ char.charCodeAt(0), 16_777_619)
    hash = Math.imul(hash ^ (hash >>> 15), 2_246_822_519) >>> 0
    if (hash <= highest) continue
    highest = hash
    best = member
  }
  return best
}

export class Locks {
  readonly #options: LocksOptions
  readonly epochs = new Map<number, number>()
  /** The members as this replica last saw them. */
  members: ReadonlyArray<Member> = []
  #session: Session | undefined
  #provenAtMs: number
  /** Shards whose actors may live here, as the sharding loop believes; what the locks say may be newer. */
  readonly #acquired = new Set<number>()
  readonly #leaving = new Set<number>()
  #stopped = false

  constructor(options: LocksOptions) {
    this.#options = options
    this.#provenAtMs = options.process.kernel.nowMs - options.fenceMs - 1
  }

  start(): void {
    this.#loop()
    this.#refresh()
  }

  /** Leaves the cluster in order. */
  stop(then: () => void): void {
    this.#stopped = true
    const held = new Set(this.epochs.keys())
    this.#options.stopActors(held, () => {
      this.epochs.clear()
      const session = this.#session
      if (session !== undefined) this.#query(() => this.#options.table.leave(session), then, then)
      else then()
    })
  }

  /** The process died: its socket tells the database. */
  dropped(): void {
    if (this.#session !== undefined) this.#options.table.end(this.#session)
  }

  proofAgeMs = (): number => this.#options.process.kernel.nowMs - this.#provenAtMs

  isFenced = (): boolean => this.proofAgeMs() > this.#options.fenceMs

  /** Whether this replica would act as the owner of that shard now. */
  proves(shard: number): boolean {
    return this.epochs.has(shard) && !this.isFenced()
  }

  ownerOf(shard: number): string | undefined {
    return assigned(
      shard,
      this.members.filter((member) => member.live).map((member) => member.incarnation),
    )
  }

  /** Whether an ask for that shard may be answered here. */
  serves(shard: number): boolean {
    return !this.#stopped && this.#acquired.has(shard) && !this.#leaving.has(shard)
  }

  get ownership(): Context.Tag.Service<Ownership> {
    return Ownership.of({
      fence: makeFenceCheck(this.epochs, this.isFenced),
      held: Effect.sync(() => new Map(this.epochs)),
      proofAgeMs: this.proofAgeMs,
    })
  }

  /** One statement after the other, as on one connection; an unanswered one ends the session. */
  #query<A>(at: () => A, done: (answer: A) => void, failed: () => void = () => undefined): void {
    const { process, network, database, table } = this.#options
    const askedMs = process.kernel.nowMs
    const session = this.#session
    let settled = false
    const fail = () => {
      if (settled) return
      settled = true
      if (this.#session === session) this.#session = undefined
      failed()
    }
    const cancel = process.after(limits.leaseMs, fail)
    const answer = (reply: () => void) =>
      network.pass(database.process, process, () => {
        if (settled) return
        settled = true
        cancel()
        reply()
      })
    network.pass(
      process,
      database.process,
      () => {
        if (database.away || (session !== undefined && !table.hear(session))) {
          network.pass(database.process, process, fail)
          return
        }
        const result = at()
        answer(() => {
          this.#provenAtMs = Math.max(this.#provenAtMs, session === undefined ? this.#provenAtMs : askedMs)
          done(result)
        })
      },
      fail,
    )
  }

  #loop(): void {
    if (this.#stopped) return
    const again = () => {
      this.#options.process.after(pollMs, () => this.#loop())
    }
    if (this.#session === undefined) this.#connect(again)
    else this.#poll(again)
  }

  #connect(again: () => void): void {
    const { table, self, process } = this.#options
    const askedMs = process.kernel.nowMs
    this.#query(
      () => {
        const session = table.begin(self)
        return session === undefined ? undefined : { session, kept: table.reclaim(session, this.epochs) }
      },
      (begun) => {
        if (begun !== undefined) {
          this.#session = begun.session
          for (const shard of [...this.epochs.keys()]) if (!begun.kept.has(shard)) this.epochs.delete(shard)
          this.#provenAtMs = Math.max(this.#provenAtMs, askedMs)
          process.say("has a lock session")
        }
        again()
      },
      again,
    )
  }

  #poll(again: () => void): void {
    const { table, self, shards } = this.#options
    this.#query(
      () => table.members(),
      (members) => {
        this.#see(members)
        const mine = shards.filter((shard) => this.ownerOf(shard) === self.incarnation)
        this.#handOver(mine)
        for (const shard of mine) if (this.epochs.has(shard)) this.#acquired.add(shard)
        const missing = mine.filter((shard) => !this.#acquired.has(shard))
        const session = this.#session
        if (missing.length === 0 || session === undefined) return again()
        this.#query(
          () => table.take(session, missing),
          (taken) => {
            for (const [shard, epoch] of taken) {
              this.epochs.set(shard, epoch)
              this.#acquired.add(shard)
              this.#options.process.say(`owns shard ${shard} under epoch ${epoch}`)
            }
            again()
          },
          again,
        )
      },
      again,
    )
  }

  /** Gives shards that belong to others now to them, after their actors have ended. */
  #handOver(mine: ReadonlyArray<number>): void {
    const foreign = [...this.#acquired].filter((shard) => !mine.includes(shard) && !this.#leaving.has(shard))
    for (const shard of foreign) {
      this.#leaving.add(shard)
      this.#options.stopActors(new Set([shard]), () => {
        this.#giveUp(shard)
      })
    }
  }

  /** The actors of a shard have ended: its lock goes as well. */
  #giveUp(shard: number): void {
    this.#leaving.delete(shard)
    this.#acquired.delete(shard)
    const session = this.#session
    if (!this.epochs.delete(shard) || session === undefined) return
    this.#query(
      () => this.#options.table.release(session, shard),
      () => undefined,
    )
  }

  #see(members: ReadonlyArray<Member>): void {
    if (members === this.members) return
    this.members = members
    this.#options.process.fork(this.#options.membership.update(members))
  }

  /** Ends the actors of shards that were lost, and of all while there is no proof. */
  #refresh(): void {
    if (this.#stopped) return
    const { stopActors, process } = this.#options
    const lost = [...this.#acquired].filter(
      (shard) => !this.#leaving.has(shard) && (this.isFenced() || !this.epochs.has(shard)),
    )
    for (const shard of lost) this.#leaving.add(shard)
    stopActors(new Set(lost), () => {
      for (const shard of lost) this.#giveUp(shard)
    })
    process.after(limits.shardLockRefreshMs, () => this.#refresh())
  }
}
