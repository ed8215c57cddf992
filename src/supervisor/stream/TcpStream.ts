import type { Socket } from "node:net"
import type { ResumableDuplex } from "../../stream/ResumableDuplex.ts"

/**
 * Joins a resumable stream with a socket that has `allowHalfOpen`: half-close passes both ways, the failure of
 * one end resets the other. A stream that finished lets the socket deliver its last bytes.
 */
export const joinTcp = (stream: ResumableDuplex, socket: Socket): void => {
  stream.pipe(socket)
  socket.pipe(stream)
  socket.on("error", (error) => stream.abort("target", `target failed: ${error.message}`))
  socket.once("close", () => {
    if (!(socket.readableEnded && socket.writableFinished)) stream.abort("target", "target was closed")
  })
  void stream.outcome.then(({ _tag }) => {
    // A plain close would look like an ordinary end to the target.
    if (_tag === "Finished") socket.destroySoon()
    else socket.resetAndDestroy()
  })
}
