import { createHash, randomBytes } from "node:crypto"
import { type AddressInfo, createServer, type Server } from "node:net"
import type { Duplex } from "node:stream"
import { afterEach, describe, expect, it } from "vitest"
import { Link } from "../../src/client/Link.ts"
import { type OpenStream, openStream, type StreamRequest } from "../../src/client/Streams.ts"
import { Status } from "../../src/domain/Status.ts"
import { StreamLost, StreamRefused } from "../../src/stream/Outcome.ts"
import { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { openBlackHole } from "../kit/BlackHole.ts"
import { eventually } from "../kit/Until.ts"
import { FarEnd } from "./FarEnd.ts"
import { GatewayDouble } from "./GatewayDouble.ts"

const cleanups: Array<() => void | Promise<void>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const listening = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  cleanups.push(() => {
    server.close()
  })
  const address = server.address() as AddressInfo
  return address.port
}

const echoServer = (): Promise<number> =>
  listening(
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined)
      socket.pipe(socket)
    }),
  )

/** A replica with one sandbox, the sandbox's end of streams, and an echo server in it. */
const start = async () => {
  const double = await GatewayDouble.start()
  cleanups.push(() => double.stop())
  const sandbox = double.add("demo")
  const farEnd = new FarEnd({ home: sandbox.home, sshPort: await echoServer() })
  cleanups.push(() => farEnd.server.close("the test is over"))
  double.farEnd = farEnd
  return { double, sandbox, farEnd, port: await echoServer() }
}
type Started = Awaited<ReturnType<typeof start>>

/** Tokens as the gateway double takes them; `made` counts. */
const tokensOf = ({ double, sandbox }: Pick<Started, "double" | "sandbox">) => {
  const tokens = { made: 0, next: () => "" }
  tokens.next = () => {
    tokens.made += 1
    const token = `token-${tokens.made}`
    double.tokens.set(token, sandbox.id)
    return token
  }
  return tokens
}

const open = async (started: Started, url = started.double.url, more: Partial<StreamRequest> = {}) => {
  const link = new Link({ url })
  cleanups.push(() => link.close())
  const tokens = tokensOf(started)
  let token = ""
  const stream = await openStream(link, {
    kind: "tcp",
    sandboxId: started.sandbox.id,
    serviceId: "test",
    target: { host: "127.0.0.1", port: started.port },
    token: async (refused) => {
      if (token === "" || refused) token = tokens.next()
      return token
    },
    ...more,
  })
  if (stream === undefined) throw new Error("no stream")
  cleanups.push(() => stream.close())
  return { link, stream, tokens }
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

/** Sends random bytes and reads as many back; `at` happens at each of these counts. */
const echoed = async (duplex: Duplex, bytes: number, at: ReadonlyArray<number>, happening: () => void) => {
  const payload = randomBytes(bytes)
  const chunks: Array<Buffer> = []
  const due = [...at]
  let received = 0
  duplex.end(payload)
  for await (const chunk of duplex) {
    if (!Buffer.isBuffer(chunk)) continue
    chunks.push(chunk)
    received += chunk.length
    if (received < (due[0] ?? Number.POSITIVE_INFINITY)) continue
    due.shift()
    happening()
  }
  return sha256(Buffer.concat(chunks)) === sha256(payload)
}

const answer = (duplex: Duplex, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    duplex.once("data", (chunk) => resolve(String(chunk)))
    duplex.once("error", reject)
    duplex.write(text)
  })

const failureOf = async ({ duplex, reason }: OpenStream): Promise<unknown> =>
  reason(await new Promise((resolve) => duplex.once("error", resolve)))

describe("a stream", () => {
  it("is the relay itself where the gateway does not know of streams", async () => {
    const started = await start()
    started.double.farEnd = undefined
    const { stream } = await open(started)
    expect(stream.resumable).toBe(false)
    expect(await echoed(stream.duplex, 1_000_000, [], () => undefined)).toBe(true)
  })

  it("rides on another connection when its own is cut, and no byte is lost, doubled or moved", async () => {
    const started = await start()
    const { stream, tokens } = await open(started)
    expect(stream.resumable).toBe(true)
    const whole = await echoed(stream.duplex, 12_000_000, [1_000_000, 4_000_000, 9_000_000], () =>
      started.double.cut(),
    )
    expect(whole).toBe(true)
    expect(started.farEnd.streams).toEqual([`tcp 127.0.0.1:${started.port}`])
    expect(started.farEnd.carriers.length).toBeGreaterThanOrEqual(4)
    expect(started.farEnd.keys.size).toBe(1)
    expect(tokens.made).toBe(1)
    await stream.close()
    expect(started.farEnd.server.size).toBe(0)
  })

  it("moves to another connection, without a pause, when the server announces that it leaves", async () => {
    const started = await start()
    const { stream } = await open(started)
    expect(await answer(stream.duplex, "before")).toBe("before")
    const { duplex } = stream
    if (!(duplex instanceof ResumableDuplex)) throw new Error("not resumable")
    const events: Array<string> = []
    duplex.on("suspended", () => events.push("suspended"))
    duplex.on("moved", () => events.push("moved"))
    const first = started.farEnd.carriers[0]
    first?.connection.session.goaway()
    await eventually("the move", () => events.includes("moved"))
    expect(events).toEqual(["moved"])
    expect(started.farEnd.carriers[1]?.connection.id).not.toBe(first?.connection.id)
    expect(await answer(duplex, "after")).toBe("after")
    await eventually("the old carrier's end", () => first?.stream.destroyed === true)
  })

  it("leaves a connection on which nothing is heard any more", async () => {
    const started = await start()
    const hole = await openBlackHole(Number(new URL(started.double.url).port))
    cleanups.push(() => hole.close())
    const { stream } = await open(started, `http://127.0.0.1:${hole.port}`, {
      settings: { probeMs: 100, probeTimeoutMs: 200 },
    })
    expect(await answer(stream.duplex, "before")).toBe("before")
    hole.swallow()
    expect(await answer(stream.duplex, "after")).toBe("after")
    const [first, second] = started.farEnd.carriers
    expect(second?.connection.id).not.toBe(first?.connection.id)
    await eventually("the end of the dead connection", () => hole.connections() === 1)
  })

  it("gets one new token for a resume whose token is refused", async () => {
    const started = await start()
    const { stream, tokens } = await open(started)
    expect(await answer(stream.duplex, "before")).toBe("before")
    started.double.tokens.clear()
    started.double.cut()
    expect(await answer(stream.duplex, "after")).toBe("after")
    expect(tokens.made).toBe(2)
  })

  it("is told when it stalls, and when it goes on", async () => {
    const started = await start()
    const told: Array<string> = []
    const { stream } = await open(started, undefined, { onStall: (change) => told.push(change) })
    expect(await answer(stream.duplex, "before")).toBe("before")
    started.double.failures.set("ForwardTcp", grpcError(Status.UNAVAILABLE, "no session"))
    started.double.cut()
    await eventually("the notice", () => told.length === 1)
    started.double.failures.clear()
    expect(await answer(stream.duplex, "after")).toBe("after")
    expect(told).toEqual(["stalled", "resumed"])
  })

  it("goes on through a further address when the first is gone", async () => {
    const [first, second] = [await start(), await start()]
    second.double.sandboxes.set("demo", first.sandbox)
    second.double.farEnd = first.farEnd
    const link = new Link({ url: first.double.url, others: [second.double.url] })
    cleanups.push(() => link.close())
    const { id } = first.sandbox
    for (const { double } of [first, second]) double.tokens.set("t", id)
    const target = { host: "127.0.0.1", port: first.port }
    const stream = await openStream(link, {
      kind: "tcp",
      sandboxId: id,
      serviceId: "test",
      target,
      token: async () => "t",
    })
    cleanups.push(() => stream.close())
    expect(await answer(stream.duplex, "before")).toBe("before")
    await first.double.stop()
    expect(await answer(stream.duplex, "after")).toBe("after")
    expect(second.double.calls).toEqual(["ForwardTcp"])
  })
})

describe("a stream fails", () => {
  it("before it begins with the gateway's refusal", async () => {
    const started = await start()
    started.double.failures.set("ForwardTcp", grpcError(Status.RESOURCE_EXHAUSTED, "too many"))
    await expect(open(started)).rejects.toMatchObject({ code: Status.RESOURCE_EXHAUSTED })
    expect(started.double.calls).toEqual(["ForwardTcp"])
  })

  it("not at once when a replica is lost while it opens", async () => {
    const started = await start()
    started.double.failures.set("ForwardTcp", grpcError(Status.UNAVAILABLE, "relay channel dropped"))
    const opening = open(started)
    await eventually("more than a few attempts", () => started.double.calls.length > 4)
    started.double.failures.clear()
    const { stream } = await opening
    expect(await answer(stream.duplex, "hello")).toBe("hello")
  })

  it("with StreamRefused when the sandbox cannot reach the target", async () => {
    const started = await start()
    const closed = createServer()
    const port = await listening(closed)
    closed.close()
    const { stream } = await open(started, undefined, { target: { host: "127.0.0.1", port } })
    const error = await failureOf(stream)
    expect(error).toBeInstanceOf(StreamRefused)
    expect(error).toMatchObject({ code: "target", message: "dial failed" })
  })

  it.each([
    [Status.NOT_FOUND, "sandbox not found"],
    [Status.PERMISSION_DENIED, "not a member of the workspace"],
  ])("at once when a resume is answered with status %i", async (code, message) => {
    const started = await start()
    const { stream } = await open(started)
    expect(await answer(stream.duplex, "before")).toBe("before")
    const failing = failureOf(stream)
    started.double.failures.set("ForwardTcp", grpcError(code, message))
    started.double.cut()
    expect(await failing).toMatchObject({ _tag: "GrpcError", code, message })
    const asked = started.double.calls.length
    await stream.close()
    expect(started.double.calls.length).toBe(asked)
  })

  it("when the sandbox stays not ready, but not when it seems so for a moment", async () => {
    const started = await start()
    const { stream } = await open(started)
    expect(await answer(stream.duplex, "before")).toBe("before")
    started.double.failures.set("ForwardTcp", grpcError(Status.FAILED_PRECONDITION, "sandbox is not ready"))
    started.double.cut()
    const asked = () => started.double.calls.length
    await eventually("an attempt", () => asked() > 1)
    started.double.failures.clear()
    expect(await answer(stream.duplex, "after")).toBe("after")
    const failing = failureOf(stream)
    started.double.failures.set("ForwardTcp", grpcError(Status.FAILED_PRECONDITION, "sandbox is not ready"))
    started.double.cut()
    expect(await failing).toMatchObject({ code: Status.FAILED_PRECONDITION })
  })

  it("with StreamLost when no replica takes it up again in time", async () => {
    const started = await start()
    const { stream } = await open(started, undefined, { settings: { resumeWindowMs: 400 } })
    expect(await answer(stream.duplex, "before")).toBe("before")
    const failing = failureOf(stream)
    started.farEnd.plain = true
    started.double.cut()
    expect(await failing).toBeInstanceOf(StreamLost)
  })

  it("when it is given up, and tells the sandbox so", async () => {
    const started = await start()
    const { stream } = await open(started)
    expect(await answer(stream.duplex, "before")).toBe("before")
    expect(started.farEnd.server.size).toBe(1)
    await stream.close()
    expect(started.farEnd.server.size).toBe(0)
  })
})

describe("a call", () => {
  it("over a connection that fell silent is asked again over another", async () => {
    const started = await start()
    const hole = await openBlackHole(Number(new URL(started.double.url).port))
    cleanups.push(() => hole.close())
    const link = new Link({ url: `http://127.0.0.1:${hole.port}` })
    cleanups.push(() => link.close())
    const health = () =>
      link.call((connection) => connection.unary("/openshell.v1.OpenShell/Health", new Uint8Array()), {
        attempts: 2,
      })
    await health()
    hole.swallow()
    await health()
    expect(started.double.calls).toEqual(["Health", "Health"])
  })

  it("that may not be asked twice fails when its connection is lost", async () => {
    const started = await start()
    const link = new Link({ url: started.double.url })
    cleanups.push(() => link.close())
    const lost = link.call(
      async (connection) => {
        const asked = connection.unary("/openshell.v1.OpenShell/Health", new Uint8Array())
        connection.destroy()
        return asked
      },
      { attempts: 1 },
    )
    await expect(lost).rejects.toMatchObject({ code: Status.UNAVAILABLE })
  })
})
