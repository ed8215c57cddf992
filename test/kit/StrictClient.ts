/**
 * A gRPC client with the weakness of Rust's: it fails what meets GOAWAY, and the call after one that came while
 * another stream was open. A server that means well tells it only while it waits for one answer.
 */
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2"

const frame = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

export interface StrictCall {
  readonly stream: ClientHttp2Stream
  /** Status OK, or what came instead. */
  readonly outcome: Promise<string>
}

export class StrictClient {
  readonly session: ClientHttp2Session
  /** Streams that were open when GOAWAY came. */
  openAtGoaway: number | undefined
  #open = 0

  private constructor(session: ClientHttp2Session) {
    this.session = session
    session.on("error", () => {})
    session.on("goaway", () => {
      this.openAtGoaway ??= this.#open
    })
  }

  static connect(url: string): Promise<StrictClient> {
    const session = http2.connect(url)
    return new Promise((resolve, reject) => {
      session.once("error", reject)
      session.once("remoteSettings", () => resolve(new StrictClient(session)))
    })
  }

  get told(): boolean {
    return this.openAtGoaway !== undefined
  }

  /** The request goes on until the stream is ended. */
  open(path: string, message: Uint8Array = Buffer.alloc(0)): StrictCall {
    const stream = this.session.request({
      ":path": path,
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": "tonic/0.14.6",
    })
    this.#open += 1
    const outcome = new Promise<string>((resolve) => {
      let status: unknown
      const note = (headers: http2.IncomingHttpHeaders): void => {
        status = headers["grpc-status"] ?? status
      }
      stream.on("response", note)
      stream.on("trailers", note)
      stream.once("error", (error) => resolve(error.message))
      stream.once("close", () => {
        this.#open -= 1
        resolve(status === "0" ? "OK" : `status ${String(status)}`)
      })
    })
    stream.resume()
    stream.write(frame(message))
    return { stream, outcome }
  }

  unary(path: string, message?: Uint8Array): Promise<string> {
    const { stream, outcome } = this.open(path, message)
    stream.end()
    return outcome
  }
}

/**
 * Calls over and over until it is stopped, at `url` and, once it was told to leave, at `next`; `beside` opens a
 * stream that stays. Failures, and GOAWAYs that would have failed a call, count.
 */
export const keepCalling = (options: {
  readonly url: string
  readonly next: string
  readonly path: string
  readonly pauseMs: number
  readonly beside?: (client: StrictClient) => void
}) => {
  const failures: Array<string> = []
  let called = 0
  let on = true
  const loop = (async () => {
    let client = await StrictClient.connect(options.url)
    options.beside?.(client)
    while (on) {
      const outcome = await client.unary(options.path)
      if (outcome === "OK") called += 1
      else failures.push(outcome)
      await new Promise((resolve) => setTimeout(resolve, options.pauseMs))
      if (client.told || client.session.destroyed) {
        if (client.openAtGoaway !== 1) failures.push(`GOAWAY beside ${client.openAtGoaway} open streams`)
        client.session.destroy()
        client = await StrictClient.connect(options.next)
      }
    }
    client.session.destroy()
  })()
  return {
    called: () => called,
    stop: async (): Promise<ReadonlyArray<string>> => {
      on = false
      await loop
      return failures
    },
  }
}
