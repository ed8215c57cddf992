import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import net, { type AddressInfo, type Socket } from "node:net"
import { pipeline } from "node:stream/promises"
import { afterEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler } from "../../src/wire/grpc/GrpcServer.ts"
import { type BridgeOutcome, joinSocket } from "../../src/wire/RelayBridge.ts"
import { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { clientLeg, serverLeg, watchedLeg } from "../../src/wire/RelayLeg.ts"
import { eventually } from "../kit/Until.ts"
import { connectTo, startServer } from "./grpc/TestServer.ts"

const servers: net.Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

const listen = async (serve: (socket: Socket) => void): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, serve)
  servers.push(server)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const outcomes: BridgeOutcome[] = []

/** A relay whose far end is the TCP target at `port`; its opening message says nothing. */
const bridgeTo = (port: number): MethodHandler => ({
  kind: "streaming",
  handle: async (call, incoming) => {
    await incoming.read()
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    await once(socket, "connect")
    outcomes.push(await joinSocket(serverLeg(call, incoming), socket).closed)
  },
})

const open = async (port: number): Promise<RelayDuplex> => {
  const running = await startServer({ "/t/Relay": bridgeTo(port) })
  const connection = await connectTo(running.url)
  const call = connection.open("/t/Relay")
  await call.write(Buffer.from("hello"))
  await call.headers
  return new RelayDuplex(clientLeg(call))
}

const collect = async (stream: AsyncIterable<Buffer>): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

describe("relay legs", () => {
  it("carry megabytes both ways at once, unchanged", async () => {
    const body = randomBytes(12 * 1_048_576)
    const relay = await open(await listen((socket) => void pipeline(socket, socket)))
    relay.end(body)
    expect(sha(await collect(relay))).toBe(sha(body))
  })

  it("pass a half-close of the client on while the target still answers", async () => {
    const relay = await open(
      await listen((socket) => {
        void collect(socket).then((request) => socket.end(`got ${request.toString()}`))
      }),
    )
    relay.end("question")
    expect((await collect(relay)).toString()).toBe("got question")
  })

  it("pass a half-close of the target on while the client still sends", async () => {
    const received = Promise.withResolvers<string>()
    const relay = await open(
      await listen((socket) => {
        socket.end("bye")
        void collect(socket).then((rest) => received.resolve(rest.toString()))
      }),
    )
    expect((await collect(relay)).toString()).toBe("bye")
    relay.end("last words")
    expect(await received.promise).toBe("last words")
  })

  it("end the target when the client resets", async () => {
    const gone = Promise.withResolvers<void>()
    const relay = await open(
      await listen((socket) => {
        socket.on("error", () => undefined).on("close", () => gone.resolve())
        socket.resume()
      }),
    )
    relay.on("error", () => undefined)
    relay.destroy(new Error("enough"))
    await gone.promise
  })

  it("fail the client when the target resets", async () => {
    const relay = await open(
      await listen(
        (socket) => void socket.on("error", () => undefined).once("data", () => socket.resetAndDestroy()),
      ),
    )
    relay.write("x")
    await expect(collect(relay)).rejects.toThrow()
  })

  it("hold the sender when the target does not read", async () => {
    const stalled = Promise.withResolvers<Socket>()
    const relay = await open(await listen((socket) => stalled.resolve(socket.pause())))
    const target = await stalled.promise
    let accepted = 0
    const chunk = Buffer.alloc(65_536)
    const pump = (): void => {
      let writable = true
      while (writable && accepted < 256 * 1_048_576) {
        writable = relay.write(chunk)
        accepted += chunk.length
      }
    }
    relay.on("error", () => undefined).on("drain", pump)
    pump()
    let before = -1
    await eventually("the flow stops", () => {
      const stopped = before === accepted && accepted > 0
      before = accepted
      return stopped
    })
    expect(accepted).toBeLessThan(64 * 1_048_576)
    const closed = once(relay, "close")
    target.on("error", () => undefined).destroy()
    await expect(closed).rejects.toThrow("target failed")
  })

  it("settle the bridge with counts when both sides finish", async () => {
    outcomes.length = 0
    const relay = await open(await listen((socket) => void pipeline(socket, socket)))
    relay.end("four")
    await collect(relay)
    await eventually("the bridge settles", () => outcomes.length === 1)
    expect(outcomes[0]).toEqual({ reason: undefined, toSocketBytes: 4, toStreamBytes: 4 })
  })

  it("fail and free the target when the connection beneath is lost", async () => {
    const gone = Promise.withResolvers<void>()
    const port = await listen((socket) => {
      socket.on("error", () => undefined).on("close", () => gone.resolve())
      socket.resume()
    })
    const running = await startServer({ "/t/Relay": bridgeTo(port) })
    const connection = await connectTo(running.url)
    const call = connection.open("/t/Relay")
    await call.write(Buffer.from("hello"))
    await call.headers
    const relay = new RelayDuplex(clientLeg(call))
    const failed = collect(relay).catch((error: Error) => error.message)
    connection.destroy()
    expect(await failed).toContain("closed")
    await gone.promise
  })
})

describe("a watched leg", () => {
  const watched = async (handle: MethodHandler) => {
    const running = await startServer({ "/t/Relay": handle })
    const call = (await connectTo(running.url)).open("/t/Relay")
    await call.write(Buffer.from("hello"))
    await call.headers
    const told = { silent: 0 }
    const duplex = new RelayDuplex(
      watchedLeg(call, () => {
        told.silent += 1
      }),
    )
    duplex.on("error", () => undefined)
    return { duplex, told, closed: new Promise((resolve) => duplex.once("close", resolve)) }
  }
  const answering = (then: (call: Parameters<typeof serverLeg>[0]) => Promise<void>): MethodHandler => ({
    kind: "streaming",
    handle: async (call, incoming) => {
      await incoming.read()
      call.sendHeaders()
      await then(call)
    },
  })

  it("tells that our end gave it up while the other end said nothing", async () => {
    const { duplex, told, closed } = await watched(
      answering((call) => new Promise((resolve) => call.stream.once("close", resolve))),
    )
    duplex.destroy()
    await closed
    expect(told.silent).toBe(1)
  })

  it("tells nothing of one that the other end failed, ended or lost", async () => {
    for (const end of [
      async () => Promise.reject(grpcError(Status.UNAVAILABLE, "the other relay is gone")),
      async () => undefined,
      async (call: Parameters<typeof serverLeg>[0]) => call.stream.destroy(),
    ]) {
      const { duplex, told, closed } = await watched(answering(async (call) => void (await end(call))))
      duplex.resume().once("end", () => duplex.destroy())
      await closed
      expect(told.silent).toBe(0)
    }
  })
})
