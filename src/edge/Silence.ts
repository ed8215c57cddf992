import { limits } from "../domain/Limits.ts"

/** Since when each replica has answered nothing. Times are monotonic. */
export class Silence {
  readonly #since = new Map<string, number>()

  heard(incarnation: string): void {
    this.#since.delete(incarnation)
  }

  /** A call begun at `askedAtMs` was not answered: whether the silence is long. Then it counts anew. */
  missed(incarnation: string, askedAtMs: number, nowMs: number): boolean {
    const since = this.#since.get(incarnation) ?? askedAtMs
    const isLong = nowMs - since >= limits.peerSilentMs
    if (isLong) this.#since.delete(incarnation)
    else this.#since.set(incarnation, since)
    return isLong
  }

  /** Forgets all but these. */
  keep(incarnations: ReadonlySet<string>): void {
    for (const incarnation of this.#since.keys())
      if (!incarnations.has(incarnation)) this.#since.delete(incarnation)
  }
}
