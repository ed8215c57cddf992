import type { Http2Session } from "node:http2"

/** PING this often; a peer that answers nothing within the timeout is gone. Milliseconds. */
export interface KeepaliveOptions {
  readonly intervalMs: number
  readonly timeoutMs: number
}

const receivedBytes = (session: Http2Session): number =>
  session.destroyed ? 0 : (session.socket?.bytesRead ?? 0)

/**
 * Whether the peer answers a PING in time. Any bytes from it count, because an ack may queue behind megabytes
 * on a slow link. After the timeout one turn of the event loop passes before the verdict: a process that was
 * frozen reads what waits in its sockets first.
 */
export const answersPing = (session: Http2Session, timeoutMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    if (session.destroyed) {
      resolve(false)
      return
    }
    const before = receivedBytes(session)
    const settle = (answered: boolean): void => {
      clearTimeout(timeout)
      session.off("close", closed)
      resolve(answered)
    }
    const closed = (): void => settle(false)
    const timeout = setTimeout(() => setImmediate(() => settle(receivedBytes(session) > before)), timeoutMs)
    session.once("close", closed)
    session.ping((error) => {
      if (error === null) settle(true)
    })
  })

/** Pings until the session closes and destroys it when the peer is silent. */
export const startKeepalive = (session: Http2Session, options: KeepaliveOptions): void => {
  let probing = false
  const probe = async (): Promise<void> => {
    if (probing || session.destroyed) return
    probing = true
    const answered = await answersPing(session, options.timeoutMs)
    probing = false
    if (!answered) session.destroy()
  }
  const interval = setInterval(() => void probe(), options.intervalMs)
  session.once("close", () => clearInterval(interval))
}

interface Heard {
  bytes: number
  atMs: number
  probing: boolean
}

/** Looks per interval; what a silence lasts longer than the interval by. */
const looks = 5

/**
 * The same for the sessions of a server, which may be ten thousand: one timer for all of them, and a PING only to
 * peers that have said nothing for the interval. Clients ping oftener than that, so it is seldom needed.
 */
export class SilenceWatch {
  readonly #options: KeepaliveOptions
  readonly #heard = new Map<Http2Session, Heard>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: KeepaliveOptions) {
    this.#options = options
  }

  /** Until it closes. */
  watch(session: Http2Session): void {
    this.#heard.set(session, { bytes: 0, atMs: performance.now(), probing: false })
    this.#timer ??= setInterval(() => this.#look(), Math.max(1, this.#options.intervalMs / looks))
    session.once("close", () => {
      this.#heard.delete(session)
      if (this.#heard.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
  }

  #look(): void {
    const nowMs = performance.now()
    for (const [session, heard] of this.#heard) {
      const bytes = receivedBytes(session)
      if (bytes !== heard.bytes) {
        heard.bytes = bytes
        heard.atMs = nowMs
      } else if (!heard.probing && nowMs - heard.atMs >= this.#options.intervalMs) {
        void this.#probe(session, heard)
      }
    }
  }

  async #probe(session: Http2Session, heard: Heard): Promise<void> {
    heard.probing = true
    const answered = await answersPing(session, this.#options.timeoutMs)
    heard.probing = false
    // A tunnel counts no bytes: its answer is all that is heard of it.
    heard.atMs = performance.now()
    if (!answered) session.destroy()
  }
}
