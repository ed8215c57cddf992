/** Watches who says they own what. Pure: answers go in, contradictions come out. */

export interface OwnerAnswer {
  /** When the question was asked, and when the answer came. */
  readonly askedAtMs: number
  readonly answeredAtMs: number
  readonly shard: number
  readonly epoch: number
  readonly owner: string
}

interface Seen {
  readonly epoch: number
  readonly atMs: number
}

export class Ownership {
  /** By shard: the first time that each higher epoch was seen. Bounded by shards and takeovers. */
  readonly #epochs = new Map<number, ReadonlyArray<Seen>>()
  /** By `shard/epoch`. */
  readonly #owners = new Map<string, string>()
  answers = 0
  /** Two replicas answered as owners of one shard in one epoch. */
  double = 0
  /** An answer carried a lower epoch than one that somebody had seen before it was even asked for. */
  stale = 0

  add(answer: OwnerAnswer): void {
    const { shard, epoch, owner, askedAtMs, answeredAtMs } = answer
    this.answers += 1
    const key = `${shard}/${epoch}`
    const known = this.#owners.get(key)
    if (known === undefined) this.#owners.set(key, owner)
    else if (known !== owner) this.double += 1
    const seen = this.#epochs.get(shard) ?? []
    if (seen.some((other) => other.epoch > epoch && other.atMs < askedAtMs)) this.stale += 1
    if (seen.every((other) => other.epoch < epoch)) {
      this.#epochs.set(shard, [...seen, { epoch, atMs: answeredAtMs }])
    }
  }
}
