import type { Http2Session } from "node:http2"

/** PING this often; a peer that answers nothing within the timeout is gone. Milliseconds. */
export interface KeepaliveOptions {
  readonly intervalMs: number
  readonly timeoutMs: number
}

/**
 * Pings until the session closes and destroys it when the peer is silent. Any bytes from the peer count as an
 * answer, because an ack may queue behind megabytes on a slow link. After the timeout one turn of the event
 * loop passes before the verdict: a process that was frozen reads what waits in its sockets first.
 */
export const startKeepalive = (session: Http2Session, options: KeepaliveOptions): void => {
  let timeout: NodeJS.Timeout | undefined
  const receivedBytes = (): number => (session.destroyed ? 0 : (session.socket?.bytesRead ?? 0))

  const probe = (): void => {
    if (timeout !== undefined || session.destroyed) return
    const before = receivedBytes()
    let acknowledged = false
    const settled = (): void => {
      acknowledged = true
      clearTimeout(timeout)
      timeout = undefined
    }
    const expire = (): void => {
      setImmediate(() => {
        if (acknowledged || session.destroyed) return
        if (receivedBytes() > before) return settled()
        session.destroy()
      })
    }
    timeout = setTimeout(expire, options.timeoutMs)
    session.ping((error) => {
      if (error === null) settled()
    })
  }

  const interval = setInterval(probe, options.intervalMs)
  session.once("close", () => {
    clearInterval(interval)
    clearTimeout(timeout)
  })
}
