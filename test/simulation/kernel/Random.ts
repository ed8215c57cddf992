/** Randomness of a simulation: everything it draws comes from one seed. */
export class Random {
  #a: number
  #b: number
  #c: number
  #d = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = 0x9e3779b9
    this.#c = Math.floor(seed / 0x1_0000_0000) | 0
    for (let round = 0; round < 12; round += 1) this.next()
  }

  /** In [0, 1); small fast counting generator. */
  next(): number {
    const sum = (this.#a + this.#b + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    return (sum >>> 0) / 0x1_0000_0000
  }

  /** A whole number in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.next() * bound)
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(list: ReadonlyArray<T>): T | undefined {
    return list[this.below(list.length)]
  }

  /** Another generator that depends on this one's seed and nothing that is drawn later. */
  fork(): Random {
    return new Random(this.below(0x1_0000_0000))
  }
}
