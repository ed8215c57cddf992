/**
 * The database as one process: rows, row locks of transactions, epochs of shards, and faults. A statement runs in
 * one moment when it arrives and no other transaction holds what it touches.
 */
import { Effect, FiberRef } from "effect"
import { StaleEpoch, Unavailable } from "../../../src/domain/Errors.ts"
import type { Fence } from "../../../src/domain/Fence.ts"
import { limits } from "../../../src/domain/Limits.ts"
import type { Presence, Sandbox } from "../../../src/domain/Sandbox.ts"
import type { NewSshSession } from "../../../src/store/SshSessions.ts"
import type { Kernel } from "../kernel/Kernel.ts"
import { Process } from "../kernel/Process.ts"
import type { Network } from "../network/Network.ts"
import { Table } from "./Table.ts"

export interface Transaction {
  readonly written: Set<{ readonly commit: (tx: object) => void }>
  readonly locked: Set<string>
  readonly sharedShards: Set<number>
  readonly committed: Array<() => void>
  over: boolean
}

/** What a statement sees: its transaction's own changes first. */
export interface View {
  readonly get: <Row>(table: Table<Row>, key: string) => Row | undefined
  readonly set: <Row>(table: Table<Row>, key: string, row: Row | undefined) => void
  /** Fails unless the fence's epoch is the shard's, which then cannot change before the transaction ends. */
  readonly fenced: (fence: Fence | undefined, what: string) => StaleEpoch | undefined
}

interface Waiting {
  readonly locks: ReadonlyArray<string>
  readonly tx: Transaction | undefined
  readonly run: () => void
  readonly untilMs: number
}

export class SimDatabase {
  readonly process: Process
  readonly sandboxes = new Table<Sandbox>("sandbox")
  readonly presences = new Table<Presence>("presence")
  readonly tokens = new Table<NewSshSession & { readonly revoked: boolean }>("token")
  readonly epochs = new Map<number, { epoch: number; owner: string }>()
  /** Refuses everything; what was under way is lost. */
  away = false
  /** Of statements that fail although they did, or did not, take effect. */
  failing = 0
  /** Every write under an epoch as it takes effect. */
  onFenced: (fence: Fence, what: string) => void = () => undefined
  /** Whether a fence of that epoch may write now. */
  fenceHolds = (fence: Fence): boolean => this.epochs.get(fence.shard)?.epoch === fence.epoch
  readonly transactionOf = FiberRef.unsafeMake<Transaction | undefined>(undefined)
  readonly #network: Network
  readonly #open = new Set<Transaction>()
  #waiting: Array<Waiting> = []

  constructor(kernel: Kernel, network: Network) {
    this.process = new Process(kernel, "database")
    this.#network = network
  }

  /** One statement of a process. `locks` are the rows it writes. */
  query<A, E = never>(
    from: Process,
    locks: ReadonlyArray<string>,
    statement: (view: View) => Effect.Effect<A, E>,
  ): Effect.Effect<A, E | Unavailable> {
    return Effect.flatMap(FiberRef.get(this.transactionOf), (tx) =>
      this.#roundTrip<A, E>(from, (answer) => {
        if (tx?.over === true) return answer(Effect.fail(away("the transaction is over")))
        this.#whenFree(locks, tx, () => {
          const { random } = this.process
          if (random.chance(this.failing / 2)) return answer(Effect.fail(away("the statement was cancelled")))
          const own = tx ?? begun()
          const result = statement(this.#view(own))
          if (tx === undefined) this.#commit(own)
          else for (const key of locks) tx.locked.add(key)
          answer(random.chance(this.failing / 2) ? Effect.fail(away("the connection was lost")) : result)
        })
      }),
    )
  }

  transaction<A, E, R>(from: Process, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Unavailable, R> {
    return Effect.suspend(() => {
      const tx = begun()
      this.#open.add(tx)
      const stop = this.process.after(limits.databaseTransactionIdleMs, () => this.#rollback(tx))
      const commit = this.#roundTrip<void, never>(from, (answer) => {
        stop()
        if (tx.over) return answer(Effect.fail(away("the transaction was ended")))
        this.#commit(tx)
        answer(
          this.process.random.chance(this.failing)
            ? Effect.fail(away("the connection was lost"))
            : Effect.void,
        )
      })
      const rollback = Effect.sync(() =>
        this.#network.pass(from, this.process, () => {
          stop()
          this.#rollback(tx)
        }),
      )
      return effect.pipe(
        Effect.locally(this.transactionOf, tx),
        Effect.onError(() => rollback),
        Effect.zipLeft(commit),
        Effect.timeoutFail({
          duration: limits.databaseCallMs,
          onTimeout: () => away("the transaction took too long"),
        }),
      )
    })
  }

  /** Ends what is under way, as a restart does. */
  restart(): void {
    for (const tx of this.#open) tx.over = true
    this.#open.clear()
    this.#waiting = []
  }

  /** Whether a takeover of that shard would have to wait for a writer. */
  shared(shard: number): boolean {
    return [...this.#open].some((tx) => !tx.over && tx.sharedShards.has(shard))
  }

  #roundTrip<A, E>(
    from: Process,
    at: (answer: (result: Effect.Effect<A, E | Unavailable>) => void) => void,
  ): Effect.Effect<A, E | Unavailable> {
    return Effect.async<A, E | Unavailable>((resume) => {
      const cancelTimer = from.after(limits.databaseCallMs, () =>
        resume(Effect.fail(away("the database did not answer"))),
      )
      const answer = (result: Effect.Effect<A, E | Unavailable>) => {
        cancelTimer()
        resume(result)
      }
      const refuse = () => answer(Effect.fail(away("the database refuses connections")))
      this.#network.pass(
        from,
        this.process,
        () => {
          const reply = (result: Effect.Effect<A, E | Unavailable>) =>
            this.#network.pass(this.process, from, () => answer(result))
          if (this.away) reply(Effect.fail(away("the database refuses connections")))
          else at(reply)
        },
        refuse,
      )
      return Effect.sync(cancelTimer)
    })
  }

  #whenFree(locks: ReadonlyArray<string>, tx: Transaction | undefined, run: () => void): void {
    if (this.#free(locks, tx)) run()
    else
      this.#waiting.push({ locks, tx, run, untilMs: this.process.kernel.nowMs + limits.databaseStatementMs })
  }

  #free(locks: ReadonlyArray<string>, tx: Transaction | undefined): boolean {
    for (const other of this.#open)
      if (other !== tx && locks.some((key) => other.locked.has(key))) return false
    return true
  }

  #view(tx: Transaction): View {
    return {
      get: (table, key) => table.get(tx, key),
      set: (table, key, row) => {
        table.set(tx, key, row)
        tx.written.add(table)
      },
      fenced: (fence, what) => {
        if (fence === undefined) return undefined
        const seen = this.epochs.get(fence.shard)?.epoch ?? 0
        if (!this.fenceHolds(fence))
          return new StaleEpoch({ message: `epoch ${fence.epoch} is over`, ...fence, seen })
        tx.sharedShards.add(fence.shard)
        tx.committed.push(() => this.onFenced(fence, what))
        return undefined
      },
    }
  }

  #commit(tx: Transaction): void {
    tx.over = true
    this.#open.delete(tx)
    for (const table of tx.written) table.commit(tx)
    for (const tell of tx.committed) tell()
    this.#next()
  }

  #rollback(tx: Transaction): void {
    if (tx.over) return
    tx.over = true
    this.#open.delete(tx)
    this.#next()
  }

  #next(): void {
    const { nowMs } = this.process.kernel
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) {
      if (one.untilMs < nowMs) continue
      if (this.#free(one.locks, one.tx)) one.run()
      else this.#waiting.push(one)
    }
  }
}

const begun = (): Transaction => ({
  written: new Set(),
  locked: new Set(),
  sharedShards: new Set(),
  committed: [],
  over: false,
})

const away = (message: string) => new Unavailable({ message })
