/** What became of one stream's bytes and operations. Pure counting. */
import { limits } from "../../domain/Limits.ts"
import type { Checker, Verdict } from "../check/Checker.ts"
import type { Ending } from "../check/Endings.ts"

/** Distinct error texts kept for the report. */
const textsKept = 8

const none: Verdict = { received: 0, lost: 0, duplicated: 0, reordered: 0, corrupted: 0 }

const sum = (left: Verdict, right: Verdict): Verdict => ({
  received: left.received + right.received,
  lost: left.lost + right.lost,
  duplicated: left.duplicated + right.duplicated,
  reordered: left.reordered + right.reordered,
  corrupted: left.corrupted + right.corrupted,
})

export interface Counts {
  readonly bytes: Verdict
  /** Streams whose SHA-256 differs from that of what was sent. */
  readonly hashMismatches: number
  /** Long-lived streams that were at work and broke off. */
  readonly brokenStreams: number
  /** Short operations that succeeded and that failed; openings of long-lived streams that failed. */
  readonly operations: number
  readonly failedOperations: number
  readonly errorTexts: ReadonlyMap<string, number>
}

export class Tally {
  #bytes = none
  #hashMismatches = 0
  #brokenStreams = 0
  #operations = 0
  #failedOperations = 0
  readonly #texts = new Map<string, number>()
  readonly #endings: Array<Ending> = []
  #working = false
  #carried = false
  #beganAtMs = 0

  readonly counts = (): Counts => ({
    bytes: this.#bytes,
    hashMismatches: this.#hashMismatches,
    brokenStreams: this.#brokenStreams,
    operations: this.#operations,
    failedOperations: this.#failedOperations,
    errorTexts: new Map(this.#texts),
  })

  /** Streams that broke off and operations that failed, each with its times. */
  get endings(): ReadonlyArray<Ending> {
    return this.#endings
  }

  /** Something came through at least once. */
  get working(): boolean {
    return this.#working
  }

  /** Something came through. */
  works(): void {
    this.#working = true
    this.#carried = true
  }

  /** A stream or an operation begins, or begins again. */
  begin(nowMs = performance.now()): void {
    this.#carried = false
    this.#beganAtMs = nowMs
  }

  /** Forgets errors and operations from before the fault: a busy machine may refuse a first attempt. */
  beginWindow(): void {
    this.#brokenStreams = 0
    this.#operations = 0
    this.#failedOperations = 0
    this.#endings.length = 0
    this.#texts.clear()
  }

  operation(): void {
    this.works()
    this.#operations += 1
  }

  failedOperation(text: string, nowMs = performance.now()): void {
    this.#failedOperations += 1
    this.#end({ carried: false, endedAtMs: nowMs, text })
  }

  /** A stream that carried something broke off; one that did not come about is an operation that failed. */
  broken(text: string, nowMs = performance.now()): void {
    if (this.#carried) this.#brokenStreams += 1
    else this.#failedOperations += 1
    this.#end({ carried: this.#carried, endedAtMs: nowMs, text })
  }

  /** A reason beside an error that is counted elsewhere. */
  note(text: string): void {
    this.#keep(text)
  }

  /** A stream that ended in order: every byte that was sent is due. */
  whole(checker: Checker, sentBytes: number, sentSha256: string): void {
    const { verdict, sha256 } = checker.finish(sentBytes)
    this.#bytes = sum(this.#bytes, verdict)
    if (sha256 !== sentSha256) this.#hashMismatches += 1
  }

  /** A stream that broke off: its client knows that the rest is lost, so only what came is judged. */
  partial(checker: Checker): void {
    this.#bytes = sum(this.#bytes, checker.finish(0).verdict)
  }

  #end(ending: Omit<Ending, "startedAtMs">): void {
    this.#keep(ending.text)
    if (this.#endings.length < limits.drillSamples) {
      this.#endings.push({ startedAtMs: this.#beganAtMs, ...ending })
    }
  }

  #keep(text: string): void {
    const known = this.#texts.get(text)
    if (known !== undefined) this.#texts.set(text, known + 1)
    else if (this.#texts.size < textsKept) this.#texts.set(text, 1)
  }
}

const empty: Counts = {
  bytes: none,
  hashMismatches: 0,
  brokenStreams: 0,
  operations: 0,
  failedOperations: 0,
  errorTexts: new Map(),
}

export const total = (all: ReadonlyArray<Counts>): Counts =>
  all.reduce((left, right) => {
    const texts = new Map(left.errorTexts)
    for (const [text, times] of right.errorTexts) texts.set(text, (texts.get(text) ?? 0) + times)
    return {
      bytes: sum(left.bytes, right.bytes),
      hashMismatches: left.hashMismatches + right.hashMismatches,
      brokenStreams: left.brokenStreams + right.brokenStreams,
      operations: left.operations + right.operations,
      failedOperations: left.failedOperations + right.failedOperations,
      errorTexts: texts,
    }
  }, empty)
