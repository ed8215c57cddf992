/** Positions of a stream that were passed over and have not come yet, as disjoint intervals in order. */
export class Gaps {
  #intervals: ReadonlyArray<readonly [from: number, to: number]> = []
  /** Bytes of intervals that were let go, because there were too many. */
  #forgotten = 0
  readonly #most: number

  constructor(most = 1_024) {
    this.#most = most
  }

  get bytes(): number {
    return this.#intervals.reduce((sum, [from, to]) => sum + to - from, this.#forgotten)
  }

  /** `from` is not below any interval that is known. */
  add(from: number, to: number): void {
    if (this.#intervals.length < this.#most) this.#intervals = [...this.#intervals, [from, to]]
    else this.#forgotten += to - from
  }

  /** Takes what is missing of [from, to) out; returns how many bytes that was. */
  take(from: number, to: number): number {
    if (this.#intervals.length === 0) return 0
    let taken = 0
    this.#intervals = this.#intervals.flatMap(([low, high]) => {
      const start = Math.max(low, from)
      const end = Math.min(high, to)
      if (start >= end) return [[low, high] as const]
      taken += end - start
      const rest: ReadonlyArray<readonly [number, number]> = [
        [low, start],
        [end, high],
      ]
      return rest.filter(([first, last]) => first < last)
    })
    return taken
  }
}
