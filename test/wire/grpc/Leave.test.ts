/** A client is told to make its further calls elsewhere without one of its calls being refused. */
import { afterEach, describe, expect, it } from "vitest"
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import { grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { createGrpcServer, type GrpcServer, type MethodHandler } from "../../../src/wire/grpc/GrpcServer.ts"
import { StrictClient } from "../../kit/StrictClient.ts"

const methods = new Map<string, MethodHandler>([
  ["/test.Test/Echo", { kind: "unary", handle: async (_call, message) => message }],
  [
    "/test.Test/Stream",
    {
      kind: "streaming",
      handle: async (call, incoming) => {
        call.sendHeaders()
        while ((await incoming.read()) !== undefined);
      },
    },
  ],
])

const cleanups: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const start = async (): Promise<{ server: GrpcServer; connection: GrpcConnection }> => {
  const server = createGrpcServer({ router: (path) => methods.get(path) })
  const { port } = await server.listen(0, "127.0.0.1")
  const connection = await GrpcConnection.connect({ url: `http://127.0.0.1:${port}` })
  cleanups.push(
    () => server.close(0),
    () => connection.destroy(),
  )
  return { server, connection }
}

const theOnly = (server: GrpcServer) => {
  const [open] = server.connections
  if (open === undefined) throw new Error("no connection")
  return open
}

describe("a client that is told to leave", () => {
  it("while it calls nothing is told with its next call, which is served", async () => {
    const { server, connection } = await start()
    theOnly(server).leave()
    expect(connection.draining).toBe(false)
    expect(String(await connection.unary("/test.Test/Echo", Buffer.from("a")))).toBe("a")
    await connection.closed
    expect(connection.draining).toBe(true)
  })

  it("loses none of a thousand calls that it makes one after the other", async () => {
    const { server } = await start()
    const { port } = server.server.address() as { port: number }
    let connection = await GrpcConnection.connect({ url: `http://127.0.0.1:${port}` })
    cleanups.push(() => connection.destroy())
    for (let n = 0; n < 1_000; n++) {
      if (n % 50 === 25) for (const open of server.connections) open.leave()
      if (connection.draining) connection = await GrpcConnection.connect({ url: `http://127.0.0.1:${port}` })
      expect(String(await connection.unary("/test.Test/Echo", Buffer.from(`${n}`)))).toBe(`${n}`)
    }
  })

  it("finishes what runs, and hears at once that the connection closes", async () => {
    const { server, connection } = await start()
    const call = connection.open("/test.Test/Stream")
    await call.headers
    const heard = new Promise<void>((resolve) => connection.onLeaving(resolve))
    expect(theOnly(server).leave()).toBe(false)
    const asking = setInterval(() => theOnly(server).leave(), 20)
    await heard
    clearInterval(asking)
    expect(theOnly(server).calls.size).toBe(1)
    call.end()
    expect(await call.status).toBeUndefined()
    await connection.closed
  })

  it("is not told while its only call is answered already: the next one may be on its way", async () => {
    const { server, connection } = await start()
    const told = Promise.withResolvers<boolean>()
    methods.set("/test.Test/Slow", {
      kind: "streaming",
      handle: async (call) => {
        await new Promise((resolve) => setTimeout(resolve, limits.leaveQuietMs + 50))
        call.finish()
        told.resolve(theOnly(server).leave())
      },
    })
    const call = connection.open("/test.Test/Slow")
    expect(await call.status).toBeUndefined()
    expect(await told.promise).toBe(false)
    expect(String(await connection.unary("/test.Test/Echo", Buffer.from("a")))).toBe("a")
  })

  it("learns why when its call is given up", async () => {
    const { server, connection } = await start()
    const call = connection.open("/test.Test/Stream")
    await call.headers
    for (const running of theOnly(server).calls) running.abandon(grpcError(Status.UNAVAILABLE, "the end"))
    expect(await call.status).toMatchObject({ code: Status.UNAVAILABLE, message: "the end" })
  })
})

describe("a client that does not repeat calls, told to leave", () => {
  const open = async () => {
    const server = createGrpcServer({ router: (path) => methods.get(path) })
    const { port } = await server.listen(0, "127.0.0.1")
    const client = await StrictClient.connect(`http://127.0.0.1:${port}`)
    cleanups.push(
      () => server.close(0),
      () => client.session.destroy(),
    )
    const stream = async () => {
      const call = client.open("/test.Test/Stream")
      await new Promise((resolve) => call.stream.once("response", resolve))
      return call
    }
    return { server, client, stream, echo: () => client.unary("/test.Test/Echo") }
  }

  it("hears it with its next call, and the connection closes with the answer", async () => {
    const { server, client, echo } = await open()
    expect(await echo()).toBe("OK")
    expect(theOnly(server).leave()).toBe(false)
    const closed = new Promise((resolve) => client.session.once("close", resolve))
    expect(await echo()).toBe("OK")
    await closed
    expect(client.openAtGoaway).toBe(1)
  })

  it("makes any number of calls beside a stream, until it has made none beside another for a while", async () => {
    const { server, client, echo, stream } = await open()
    const beside = await stream()
    const end = performance.now() + 1.3 * limits.leaveQuietMs
    while (performance.now() < end) {
      expect(theOnly(server).leave()).toBe(false)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    for (let n = 0; n < 20; n++) expect(await echo()).toBe("OK")
    beside.stream.end()
    expect(await beside.outcome).toBe("OK")
    expect(await echo()).toBe("OK")
    expect(client.told).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, limits.leaveQuietMs + 50))
    expect(await echo()).toBe("OK")
    await expect.poll(() => client.openAtGoaway).toBe(1)
  })

  it("hears it at once when what runs is ended by whoever asks", async () => {
    const { server, client, stream } = await open()
    const { outcome } = await stream()
    await expect.poll(() => theOnly(server).leave(() => true), { timeout: 5_000 }).toBe(true)
    for (const running of theOnly(server).calls) running.abandon(grpcError(Status.UNAVAILABLE, "the end"))
    expect(await outcome).toBe(`status ${Status.UNAVAILABLE}`)
    expect(client.told).toBe(true)
  })

  it("holds its connection up between two calls", async () => {
    const { server, echo } = await open()
    expect(theOnly(server).active).toBe(false)
    expect(await echo()).toBe("OK")
    expect(theOnly(server).active).toBe(true)
    await expect.poll(() => theOnly(server).active, { timeout: 5_000 }).toBe(false)
  })
})
