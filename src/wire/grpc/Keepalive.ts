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
