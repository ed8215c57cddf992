/** The two ends of one HTTP/2 stream between processes, with a window, half-close, status and reset. */
import { constants } from "node:http2"
import { Duplex } from "node:stream"
import type { GrpcError } from "../../../src/wire/grpc/GrpcError.ts"
import type { RelayCall, RelayLeg, RelayStream } from "../../../src/wire/RelayLeg.ts"
import type { Process } from "../kernel/Process.ts"
import type { Network } from "./Network.ts"
import { Pipe } from "./Pipe.ts"

/** Bytes under way in one direction before the sender waits. */
export const windowBytes = 4_096

export class SimStream extends Duplex implements RelayStream {
  readonly process: Process
  rstCode: number = constants.NGHTTP2_NO_ERROR
  aborted = false
  /** What the other side said with its end: undefined is OK. */
  peerStatus: string | undefined
  /** Said with our end. */
  status: string | undefined
  #peer: SimStream | undefined
  #pipe: Pipe | undefined
  #underWay = 0
  #blocked: (() => void) | undefined
  #received: Array<Buffer | null> = []
  #wanted = false
  /** The other side takes nothing more. */
  #deaf = false
  #peerEnded = false
  #headed = false

  constructor(process: Process) {
    super({ allowHalfOpen: true, highWaterMark: 2_048 })
    this.process = process
    this.on("error", () => undefined)
  }

  join(network: Network, peer: SimStream): void {
    this.#peer = peer
    this.#pipe = new Pipe(network, this.process, peer.process)
  }

  /** Response headers: the other side's `headers` settles. */
  sendHead(): void {
    if (!this.destroyed) this.#pipe?.send(() => this.#peer?.takeHead())
  }

  takeHead(): void {
    this.#headed = true
    this.emit("head")
  }

  /** Settles when the other side has begun to answer; rejects when it refused or the stream ended before. */
  get headers(): Promise<void> {
    return new Promise((resolve, reject) => {
      const refused = () => reject(new Error(this.peerStatus ?? "the stream was closed"))
      if (this.#headed) return resolve()
      if (this.destroyed || this.#peerEnded) return refused()
      this.once("head", resolve)
      this.once("refused", refused)
      this.once("close", refused)
    })
  }

  /** As RST_STREAM: both directions end here and now, and soon over there. */
  close(code: number = constants.NGHTTP2_NO_ERROR): void {
    if (this.destroyed) return
    this.rstCode = code
    this.destroy()
  }

  /** The stream was ended by the other side or the network. */
  reset(reason: string, code: number = constants.NGHTTP2_INTERNAL_ERROR): void {
    if (this.destroyed) return
    this.rstCode = code
    this.aborted = true
    this.#pipe?.close()
    this.emit("aborted")
    this.destroy(code === constants.NGHTTP2_CANCEL ? undefined : new Error(reason))
  }

  /** Bytes that wait here because nobody reads them. */
  get heldBytes(): number {
    return this.readableLength + this.#received.reduce((sum, chunk) => sum + (chunk?.length ?? 0), 0)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#deaf) {
      done()
      return
    }
    this.#underWay += chunk.length
    const copy = Buffer.from(chunk)
    this.#pipe?.send(() => this.#peer?.arrive(copy))
    if (this.#underWay <= windowBytes) done()
    else this.#blocked = () => done()
  }

  override _final(done: (error?: Error | null) => void): void {
    const { status } = this
    this.#pipe?.send(() => this.#peer?.takeEnd(status))
    done()
  }

  override _read(): void {
    this.#wanted = true
    this.#flow()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const clean = this.readableEnded && this.writableFinished && error === null
    if (!clean && !this.aborted) {
      if (error !== null && this.rstCode === constants.NGHTTP2_NO_ERROR)
        this.rstCode = constants.NGHTTP2_INTERNAL_ERROR
      const code = this.rstCode
      this.#pipe?.send(() => this.#peer?.takeReset(code))
    }
    this.#unblock()
    done(error)
  }

  arrive(chunk: Buffer): void {
    this.#received.push(chunk)
    this.#flow()
  }

  takeEnd(status: string | undefined): void {
    this.peerStatus = status
    this.#peerEnded = true
    if (!this.#headed) this.emit("refused")
    this.#received.push(null)
    this.#flow()
  }

  takeReset(code: number): void {
    if (code !== constants.NGHTTP2_NO_ERROR || !this.#peerEnded) {
      this.reset(
        "the stream was reset",
        code === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : code,
      )
      return
    }
    // The other side has answered and wants no more of ours; what it said may still be read.
    this.#deaf = true
    this.#unblock()
    if (!this.writableEnded) this.end()
  }

  credit(bytes: number): void {
    this.#underWay -= bytes
    if (this.#underWay <= windowBytes) this.#unblock()
  }

  #unblock(): void {
    const blocked = this.#blocked
    this.#blocked = undefined
    blocked?.()
  }

  #flow(): void {
    while (this.#wanted && this.#received.length > 0) {
      const chunk = this.#received.shift()
      if (chunk === undefined) return
      this.#wanted = this.push(chunk)
      if (chunk !== null) this.#pipe?.send(() => this.#peer?.credit(chunk.length))
    }
  }
}

export const connected = (network: Network, from: Process, to: Process): readonly [SimStream, SimStream] => {
  const near = new SimStream(from)
  const far = new SimStream(to)
  near.join(network, far)
  far.join(network, near)
  const side = (stream: SimStream) => ({
    process: stream.process,
    broken: () => stream.reset("the connection is lost"),
    waitingBytes: () => stream.writableLength,
  })
  const forget = network.connect(side(near), side(far))
  near.once("close", () => {
    if (far.destroyed) forget()
  })
  far.once("close", () => {
    if (near.destroyed) forget()
  })
  return [near, far]
}

/** The server's view of a call on its end of a stream. */
export class SimCall implements RelayCall {
  readonly stream: SimStream
  failing = false
  #finished = false
  #headed = false

  constructor(stream: SimStream) {
    this.stream = stream
  }

  sendHeaders(): void {
    if (this.#headed) return
    this.#headed = true
    this.stream.sendHead()
  }

  endResponse(): void {
    if (this.#finished) return
    this.#finished = true
    if (!this.stream.destroyed) this.stream.end()
  }

  finish(error?: GrpcError): void {
    if (this.#finished) return
    this.#finished = true
    this.failing = error !== undefined
    const { stream } = this
    if (stream.destroyed) return
    if (error === undefined) this.sendHeaders()
    stream.status = error?.message
    stream.end(() => stream.close())
    stream.resume()
    if (error === undefined) return
    const cancel = stream.process.after(10_000, () => stream.close(constants.NGHTTP2_CANCEL))
    stream.once("close", cancel)
  }
}

/** The client's view of a relay call. */
export const callerLeg = (stream: SimStream): RelayLeg => ({
  stream,
  initial: Buffer.alloc(0),
  ended: false,
  maxMessageBytes: 1_048_576,
  endWrite: () => {
    if (!stream.writableEnded) stream.end()
  },
  abort: () => stream.close(constants.NGHTTP2_CANCEL),
  outcome: async () => stream.peerStatus,
})
