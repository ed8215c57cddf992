/** A stream server behind real sockets, and clients whose carriers can be cut. */
import { createHash, type Hash } from "node:crypto"
import { once } from "node:events"
import net, { type AddressInfo, type Socket } from "node:net"
import { type Duplex, duplexPair } from "node:stream"
import { type ConnectOptions, connect } from "../../src/stream/Connect.ts"
import type { StreamError } from "../../src/stream/Outcome.ts"
import type { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import { type IncomingStream, StreamServer, type StreamServerOptions } from "../../src/stream/StreamServer.ts"

const closers: Array<() => void> = []

/** To be called after each test. */
export const closeAll = (): void => {
  for (const close of closers.splice(0)) close()
}

export interface Harness {
  readonly server: StreamServer
  /** Streams as the server's application gets them; accepted unless `onStream` is given. */
  readonly next: () => Promise<ResumableDuplex>
  readonly incoming: IncomingStream[]
  /** Carriers that were opened, oldest first, as the client holds them. */
  readonly carriers: Duplex[]
  readonly connect: (options?: Partial<ConnectOptions>) => ResumableDuplex
  /** Counts what arrives on one end of a carrier towards the next cut. */
  readonly count: (carrier: Duplex) => void
  /** How often a carrier was cut. */
  readonly cuts: () => number
}

export type HarnessOptions = Partial<StreamServerOptions> & {
  readonly binding?: string
  /** A carrier is destroyed whenever this many bytes have arrived over carriers, both directions together. */
  readonly cutEveryBytes?: number
}

const harness = (options: HarnessOptions, open: (server: StreamServer) => Promise<Duplex>): Harness => {
  const incoming: IncomingStream[] = []
  const accepted: ResumableDuplex[] = []
  const waiting: Array<(stream: ResumableDuplex) => void> = []
  const server = new StreamServer({
    onStream: (one) => {
      incoming.push(one)
      const stream = one.accept()
      const waiter = waiting.shift()
      if (waiter === undefined) accepted.push(stream)
      else waiter(stream)
    },
    ...options,
  })
  const carriers: Duplex[] = []
  let crossed = 0
  let cuts = 0
  const count = (carrier: Duplex): void => {
    carrier.on("data", (chunk: Buffer) => {
      crossed += chunk.length
      if (options.cutEveryBytes === undefined || crossed < options.cutEveryBytes || carrier.destroyed) return
      crossed = 0
      cuts += 1
      if (carrier instanceof net.Socket) carrier.resetAndDestroy()
      else carrier.destroy()
    })
  }
  closers.push(() => server.close("the test is over"))
  return {
    server,
    incoming,
    carriers,
    count,
    cuts: () => cuts,
    next: () =>
      new Promise((resolve) => {
        const stream = accepted.shift()
        if (stream === undefined) waiting.push(resolve)
        else resolve(stream)
      }),
    connect: (overrides) => {
      const stream = connect({
        kind: "tcp",
        target: "127.0.0.1:80",
        openCarrier: async () => {
          const carrier = await open(server)
          carriers.push(carrier)
          count(carrier)
          return carrier
        },
        ...(options.clock === undefined ? {} : { clock: options.clock }),
        ...(options.settings === undefined ? {} : { settings: options.settings }),
        ...overrides,
      })
      closers.push(() => void stream.destroy())
      return stream
    },
  }
}

/** Carriers in memory. */
export const inMemory = (options: HarnessOptions = {}): Harness => {
  const result: Harness = harness(options, async (server) => {
    const [near, far] = duplexPair()
    // A pair does not tell one half that the other was destroyed, as a socket would.
    near.once("close", () => far.destroy())
    far.once("close", () => near.destroy())
    result.count(far)
    server.accept(far, options.binding ?? "")
    return near
  })
  return result
}

/** Carriers are TCP connections. */
export const overSockets = async (options: HarnessOptions = {}): Promise<Harness> => {
  const sockets = new Set<Socket>()
  const listener = net.createServer({ allowHalfOpen: true, noDelay: true })
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  const { port } = listener.address() as AddressInfo
  const result: Harness = harness(options, async () => {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
    await once(socket, "connect")
    return socket
  })
  listener.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("error", () => undefined)
    result.count(socket)
    result.server.accept(socket, options.binding ?? "")
  })
  closers.push(() => {
    listener.close()
    for (const socket of sockets) socket.destroy()
  })
  return result
}

export const digest = (): Hash => createHash("sha256")

export const collect = async (stream: AsyncIterable<Buffer>): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** The error that a stream ends with. */
export const errorOf = async (stream: ResumableDuplex): Promise<StreamError> => {
  const [error] = (await once(stream, "error")) as [StreamError]
  return error
}

/** Waits for a condition; every wait of a test ends here. */
export const eventually = async (holds: () => boolean, what: string, withinMs = 10_000): Promise<void> => {
  const until = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > until) throw new Error(`not in ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
