/** Joins two TCP connections into one: bytes, backpressure, half-close and abortion pass through. */
import type { Socket } from "node:net"

const abort = (socket: Socket): void => {
  if (socket.destroyed) return
  // A reset, not an end: the other side must not take a cut connection for a complete one.
  socket.resetAndDestroy()
}

const follow = (from: Socket, to: Socket): void => {
  // pipe() ends `to` when `from` ends: that is the half-close.
  from.pipe(to)
  from.once("error", () => abort(to))
  from.once("close", () => {
    if (!from.readableEnded || !from.writableFinished) abort(to)
  })
}

/** Both sockets must allow half-open connections. `onClose` runs once, when both are closed. */
export const splice = (client: Socket, replica: Socket, onClose: () => void): void => {
  let open = 2
  const closed = () => {
    open -= 1
    if (open === 0) onClose()
  }
  client.once("close", closed)
  replica.once("close", closed)
  follow(client, replica)
  follow(replica, client)
}
