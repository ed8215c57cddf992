import { Duplex } from "node:stream"
import type { WebSocket } from "ws"
import { limits } from "../../domain/Limits.ts"

/** RFC 6455, 7.1.5: the connection went without a close. */
const lostCode = 1_006

interface Piece {
  readonly chunk: Buffer
}

/**
 * The bytes in the binary messages of an open WebSocket, both ways. What is written at once leaves as few messages:
 * node:http2 writes a frame in several pieces, and each message costs more than its bytes.
 */
export class WebSocketDuplex extends Duplex {
  readonly #socket: WebSocket

  constructor(socket: WebSocket) {
    super({
      readableHighWaterMark: limits.relayBufferBytes,
      writableHighWaterMark: limits.relayBufferBytes,
    })
    this.#socket = socket
    socket.binaryType = "nodebuffer"
    socket.on("message", (data, isBinary) => {
      if (!isBinary || !Buffer.isBuffer(data)) this.destroy(new Error("a message was not binary"))
      else if (!this.push(data)) socket.pause()
    })
    socket.on("error", (error) => this.destroy(error))
    // Whoever closes a WebSocket closes both directions of it.
    socket.once("close", (code) => {
      if (code === lostCode) this.destroy()
      else if (!this.destroyed) {
        this.push(null)
        this.end()
      }
    })
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.send(chunk, done)
  }

  override _writev(pieces: ReadonlyArray<Piece>, done: (error?: Error | null) => void): void {
    let first = 0
    let bytes = 0
    pieces.forEach(({ chunk }, at) => {
      bytes += chunk.length
      const last = at === pieces.length - 1
      if (!last && bytes < limits.relayBufferBytes) return
      const message = Buffer.concat(
        pieces.slice(first, at + 1).map((piece) => piece.chunk),
        bytes,
      )
      if (last) this.#socket.send(message, done)
      else this.#socket.send(message)
      first = at + 1
      bytes = 0
    })
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.close()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // After a close both ends wait for each other's; whoever destroys does not.
    if (!this.writableFinished) this.#socket.terminate()
    done(error)
  }
}
