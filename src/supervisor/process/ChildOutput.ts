import type { Readable } from "node:stream"

/** Takes one chunk of output or of errors and says when it wants the next. */
export type SendOutput = (chunk: Buffer, errors: boolean, done: () => void) => void

interface Piece {
  readonly source: Readable
  readonly chunk: Buffer
  readonly errors: boolean
}

/**
 * Sends what processes print to one receiver: one chunk at a time over all sources, each source paused while a
 * chunk of it waits. A client that does not read therefore stops the process, not our memory.
 */
export class ChildOutput {
  /** Settles when every source has ended and all of it is sent, or after `stop`. */
  readonly ended: Promise<void>
  readonly #send: SendOutput
  readonly #waiting: Piece[] = []
  #resolveEnded: () => void = () => undefined
  #sources = 0
  #writing = false
  #stopped = false
  #lastChunkAt = performance.now()

  constructor(send: SendOutput) {
    this.#send = send
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
  }

  add(source: Readable, errors: boolean): void {
    this.#sources += 1
    source.on("data", (chunk: Buffer) => {
      source.pause()
      this.#lastChunkAt = performance.now()
      this.#waiting.push({ source, chunk, errors })
      this.#next()
    })
    // `close` also follows errors: a terminal ends with one.
    source.once("close", () => {
      this.#sources -= 1
      this.#settle()
    })
  }

  /** Settles when nothing has come for `quietMs` although the client would take it, or when all has ended. */
  async quiet(quietMs: number): Promise<void> {
    for (;;) {
      const idleMs = this.#writing ? 0 : performance.now() - this.#lastChunkAt
      if (idleMs >= quietMs || this.#stopped) return
      const timer = new AbortController()
      await Promise.race([this.ended, sleep(quietMs - idleMs, timer.signal)])
      timer.abort()
      if (this.#sources === 0 && this.#waiting.length === 0 && !this.#writing) return
    }
  }

  /** The receiver is gone: nothing more is read or sent. */
  stop(): void {
    this.#stopped = true
    this.#waiting.length = 0
    this.#resolveEnded()
  }

  #next(): void {
    const piece = this.#stopped || this.#writing ? undefined : this.#waiting.shift()
    if (piece === undefined) return
    this.#writing = true
    const { source, chunk, errors } = piece
    this.#send(chunk, errors, () => {
      this.#writing = false
      this.#lastChunkAt = performance.now()
      source.resume()
      this.#next()
      this.#settle()
    })
  }

  #settle(): void {
    if (this.#sources === 0 && this.#waiting.length === 0 && !this.#writing) this.#resolveEnded()
  }
}

const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true })
  })
