import { connect } from "node:net"
import type { AcceptConnection, RejectConnection, ServerChannel } from "ssh2"
import { limits } from "../../domain/Limits.ts"

/** Dials a loopback target for a direct-tcpip channel and joins the two, half-close included. */
export const serveForward = (
  target: { readonly host: string; readonly port: number },
  accept: AcceptConnection<ServerChannel>,
  reject: RejectConnection,
  gone: Promise<void>,
  onClose: () => void,
): void => {
  const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
  socket.setTimeout(limits.supervisorDialTimeoutMs, () => socket.destroy())
  void gone.then(() => socket.destroy())
  socket.once("close", onClose)
  socket.once("error", reject)
  socket.once("connect", () => {
    socket.setTimeout(0)
    socket.off("error", reject)
    const channel = accept()
    channel.on("error", () => undefined)
    channel.once("close", () => socket.destroy())
    channel.pipe(socket)
    // Ending the channel would close both its directions; the target may still be reading.
    socket.pipe(channel, { end: false })
    socket.once("end", () => channel.write(Buffer.alloc(0), () => channel.eof()))
    socket.on("error", () => undefined)
    socket.once("close", () => channel.end())
  })
}
