/**
 * Fan-out of "something changed" inside one process. A subscriber holds flags, not a queue: it learns that
 * logs of a sandbox changed, not how often, so it can be slow without ever falling behind.
 */
import { Chunk, Effect, type Scope, Stream } from "effect"
import { limits } from "../domain/Limits.ts"

/**
 * `removed`: the sandbox's row is gone. `service`: what it exposes. `config`: its configuration, or the
 * whole gateway's where the sandbox id is empty. `draft`: proposals for its policy, which leave that as it is.
 */
export type ChangeKind = "sandbox" | "log" | "event" | "removed" | "service" | "config" | "draft"

export type Change =
  | { readonly kind: ChangeKind; readonly sandboxId: string }
  /** Changes may have been missed: take everything for changed. */
  | { readonly kind: "resync" }

export interface Subscription {
  /** All that changed since the last call, each once; waits while that is nothing. */
  readonly take: Effect.Effect<ReadonlyArray<Change>>
  /** The same, endless, as a stream. */
  readonly stream: Stream.Stream<Change>
}

/** The flags of one subscriber. Beyond `changedSandboxes` sandboxes it collapses to one resync. */
export class ChangeFlags {
  readonly #changed = new Map<string, Set<ChangeKind>>()
  readonly #waiters = new Set<() => void>()
  readonly #kinds: ReadonlySet<ChangeKind> | undefined
  #resync = false

  /** `kinds`: what is of interest besides a resync; everything when absent. */
  constructor(kinds?: ReadonlySet<ChangeKind>) {
    this.#kinds = kinds
  }

  add(change: Change): void {
    if (change.kind !== "resync" && this.#kinds?.has(change.kind) === false) return
    if (change.kind === "resync") {
      this.#resync = true
      this.#changed.clear()
    } else if (!this.#resync) {
      this.#mark(change.sandboxId, change.kind)
    } else if (change.kind === "removed") {
      // A resync says "read again"; that a row is gone stays worth saying.
      this.#mark(change.sandboxId, change.kind)
    }
    for (const wake of this.#waiters) wake()
    this.#waiters.clear()
  }

  #mark(sandboxId: string, kind: ChangeKind): void {
    const known = this.#changed.get(sandboxId)
    if (known !== undefined) known.add(kind)
    else if (this.#changed.size < limits.changedSandboxes) this.#changed.set(sandboxId, new Set([kind]))
    else this.add({ kind: "resync" })
  }

  /** Empties the flags. A resync comes first; per sandbox the order is that of the first occurrence. */
  drain(): ReadonlyArray<Change> {
    const changes: Array<Change> = this.#resync ? [{ kind: "resync" }] : []
    for (const [sandboxId, kinds] of this.#changed)
      for (const kind of kinds) changes.push({ kind, sandboxId })
    this.#resync = false
    this.#changed.clear()
    return changes
  }

  readonly #wait = Effect.async<void>((resume) => {
    const wake = () => resume(Effect.void)
    this.#waiters.add(wake)
    return Effect.sync(() => this.#waiters.delete(wake))
  })

  readonly take: Effect.Effect<ReadonlyArray<Change>> = Effect.suspend(() => {
    const changes = this.drain()
    return changes.length > 0 ? Effect.succeed(changes) : Effect.zipRight(this.#wait, this.take)
  })

  readonly subscription: Subscription = {
    take: this.take,
    stream: Stream.repeatEffectChunk(Effect.map(this.take, Chunk.unsafeFromArray)),
  }
}

export class ChangeBus {
  readonly #bySandbox = new Map<string, Set<ChangeFlags>>()
  readonly #everything = new Set<ChangeFlags>()

  publish(change: Change): void {
    for (const flags of this.#everything) flags.add(change)
    if (change.kind === "resync") {
      for (const subscribers of this.#bySandbox.values()) for (const flags of subscribers) flags.add(change)
    } else {
      for (const flags of this.#bySandbox.get(change.sandboxId) ?? []) flags.add(change)
    }
  }

  /** Changes of one sandbox from now on, until the scope closes. */
  subscribe(sandboxId: string): Effect.Effect<Subscription, never, Scope.Scope> {
    const attach = Effect.sync(() => {
      const flags = new ChangeFlags()
      const subscribers = this.#bySandbox.get(sandboxId) ?? new Set<ChangeFlags>()
      this.#bySandbox.set(sandboxId, subscribers.add(flags))
      return flags
    })
    const detach = (flags: ChangeFlags) =>
      Effect.sync(() => {
        const subscribers = this.#bySandbox.get(sandboxId)
        subscribers?.delete(flags)
        if (subscribers?.size === 0) this.#bySandbox.delete(sandboxId)
      })
    return Effect.map(Effect.acquireRelease(attach, detach), (flags) => flags.subscription)
  }

  /** Changes of these kinds, or of all, of all sandboxes from now on, until the scope closes. */
  subscribeAll(kinds?: ReadonlySet<ChangeKind>): Effect.Effect<Subscription, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => {
        const flags = new ChangeFlags(kinds)
        this.#everything.add(flags)
        return flags
      }),
      (flags) => Effect.sync(() => this.#everything.delete(flags)),
    ).pipe(Effect.map((flags) => flags.subscription))
  }

  /** Subscribers at this moment. */
  get size(): number {
    let count = this.#everything.size
    for (const subscribers of this.#bySandbox.values()) count += subscribers.size
    return count
  }
}
