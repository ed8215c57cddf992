import http2 from "node:http2"
import { describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import { GrpcError, grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import type { MethodHandler } from "../../../src/wire/grpc/GrpcServer.ts"
import { writeMessage } from "../../../src/wire/grpc/MessageWriter.ts"
import { eventually } from "../../kit/Until.ts"
import { connectTo, failureOf, startServer } from "./TestServer.ts"

const echo: MethodHandler = {
  kind: "streaming",
  handle: async (call, incoming) => {
    call.sendHeaders()
    for (;;) {
      const message = await incoming.read()
      if (message === undefined) return
      await writeMessage(call.stream, message, call.signal)
    }
  },
}

const unary = (handle: (message: Buffer) => Promise<Uint8Array>): MethodHandler => ({
  kind: "unary",
  handle: (_call, message) => handle(message),
})

describe("a unary call", () => {
  it("answers with the handler's message", async () => {
    const { url } = await startServer({ "/t/Double": unary(async (m) => Buffer.concat([m, m])) })
    const connection = await connectTo(url)
    expect((await connection.unary("/t/Double", Buffer.from("ab"))).toString()).toBe("abab")
    expect((await connection.unary("/t/Double", Buffer.alloc(0))).length).toBe(0)
  })

  it("fails with the handler's status and its text, whatever characters it has", async () => {
    const text = "sandbox 'ü' is 100% gone\nreally"
    const { url } = await startServer({
      "/t/Fail": unary(() => Promise.reject(grpcError(Status.NOT_FOUND, text))),
    })
    const connection = await connectTo(url)
    expect(await failureOf(connection.unary("/t/Fail", Buffer.alloc(0)))).toEqual(
      new GrpcError({ code: Status.NOT_FOUND, message: text }),
    )
  })

  it("hides an unexpected failure from the client and reports it to the server", async () => {
    const { url, errors } = await startServer({
      "/t/Crash": unary(() => Promise.reject(new Error("secret"))),
    })
    const connection = await connectTo(url)
    expect(await failureOf(connection.unary("/t/Crash", Buffer.alloc(0)))).toMatchObject({
      code: Status.INTERNAL,
      message: "internal error",
    })
    expect(errors).toEqual([new Error("secret")])
  })

  it("of an unknown method answers UNIMPLEMENTED with its name", async () => {
    const { url } = await startServer({})
    const connection = await connectTo(url)
    expect(await failureOf(connection.unary("/x.Y/Nope", Buffer.alloc(0)))).toMatchObject({
      code: Status.UNIMPLEMENTED,
      message: "unknown method /x.Y/Nope",
    })
  })
})

describe("a streaming call", () => {
  it("carries messages both ways while both sides are open", async () => {
    const { url } = await startServer({ "/t/Echo": echo })
    const call = (await connectTo(url)).open("/t/Echo")
    await call.headers
    for (const text of ["one", "two", ""]) {
      await call.write(Buffer.from(text))
      expect((await call.reader.read())?.toString()).toBe(text)
    }
    call.end()
    expect(await call.reader.read()).toBeUndefined()
    expect(await call.status).toBeUndefined()
  })

  it("gets response headers before the first message", async () => {
    const { url } = await startServer({ "/t/Echo": echo })
    const call = (await connectTo(url)).open("/t/Echo")
    await call.headers
    call.cancel()
    expect(await call.status).toMatchObject({ code: Status.CANCELLED })
  })

  it("from the server ends with OK after its last message", async () => {
    const { url } = await startServer({
      "/t/Count": {
        kind: "streaming",
        handle: async (call, incoming) => {
          const count = Number((await incoming.read())?.toString())
          call.sendHeaders()
          for (let n = 0; n < count; n++) await writeMessage(call.stream, Buffer.from(String(n)))
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Count")
    await call.write(Buffer.from("1000"))
    call.end()
    for (let n = 0; n < 1000; n++) expect((await call.reader.read())?.toString()).toBe(String(n))
    expect(await call.reader.read()).toBeUndefined()
    expect(await call.status).toBeUndefined()
  })

  it("from the client may be answered before the client has finished", async () => {
    const { url, server } = await startServer({
      "/t/First": {
        kind: "streaming",
        handle: async (call, incoming) => {
          const first = await incoming.read()
          call.sendHeaders()
          await writeMessage(call.stream, first ?? Buffer.alloc(0))
        },
      },
    })
    const connection = await connectTo(url)
    const call = connection.open("/t/First")
    await call.write(Buffer.from("only this"))
    expect((await call.reader.read())?.toString()).toBe("only this")
    expect(await call.reader.read()).toBeUndefined()
    expect(await call.status).toBeUndefined()
    await eventually("the stream is closed", () => call.stream.closed)
    expect(server.sessions).toBe(1)
  })

  it("keeps the client's direction open after the server has ended its messages only with the status", async () => {
    const { url } = await startServer({
      "/t/Sum": {
        kind: "streaming",
        handle: async (call, incoming) => {
          call.sendHeaders()
          await writeMessage(call.stream, Buffer.from("ready"))
          let sum = 0
          for (let m = await incoming.read(); m !== undefined; m = await incoming.read())
            sum += Number(m.toString())
          await writeMessage(call.stream, Buffer.from(String(sum)))
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Sum")
    expect((await call.reader.read())?.toString()).toBe("ready")
    for (const n of [1, 2, 3]) await call.write(Buffer.from(String(n)))
    call.end()
    expect((await call.reader.read())?.toString()).toBe("6")
    expect(await call.reader.read()).toBeUndefined()
  })

  it("is ended by its deadline also when only the client's direction is still open", async () => {
    const { url } = await startServer({
      "/t/Half": {
        kind: "streaming",
        handle: async (call) => {
          call.endResponse()
          await new Promise((resolve) => call.stream.once("close", resolve))
        },
      },
    })
    const session = http2.connect(url)
    const stream = session.request({
      ":method": "POST",
      ":path": "/t/Half",
      "content-type": "application/grpc",
      "grpc-timeout": "200m",
    })
    stream.on("error", () => undefined)
    stream.resume()
    await new Promise((resolve) => stream.once("close", resolve))
    session.destroy()
  })

  it("delivers an error status after the messages before it", async () => {
    const { url } = await startServer({
      "/t/Half": {
        kind: "streaming",
        handle: async (call) => {
          call.sendHeaders()
          await writeMessage(call.stream, Buffer.from("a"))
          throw grpcError(Status.UNAVAILABLE, "relay channel dropped")
        },
      },
    })
    const call = (await connectTo(url)).open("/t/Half")
    expect((await call.reader.read())?.toString()).toBe("a")
    expect(await call.reader.read()).toBeUndefined()
    expect(await call.status).toMatchObject({ code: Status.UNAVAILABLE, message: "relay channel dropped" })
  })

  it("refused before headers rejects the wait for headers with the status", async () => {
    const { url } = await startServer({
      "/t/No": {
        kind: "streaming",
        handle: () => Promise.reject(grpcError(Status.FAILED_PRECONDITION, "sandbox is not ready")),
      },
    })
    const call = (await connectTo(url)).open("/t/No")
    expect(await failureOf(call.headers)).toMatchObject({ message: "sandbox is not ready" })
    expect(await call.status).toMatchObject({ code: Status.FAILED_PRECONDITION })
  })
})

describe("the end of a call", () => {
  it("by deadline comes from the server, with DEADLINE_EXCEEDED, and stops the handler", async () => {
    let reason: unknown
    const { url } = await startServer({
      "/t/Wait": {
        kind: "streaming",
        handle: (call) =>
          new Promise((_resolve, reject) => {
            call.signal.addEventListener("abort", () => {
              reason = call.signal.reason
              reject(call.signal.reason)
            })
          }),
      },
    })
    const connection = await connectTo(url)
    const call = connection.open("/t/Wait", { metadata: { "grpc-timeout": "30m" } })
    expect(await call.status).toMatchObject({ code: Status.DEADLINE_EXCEEDED })
    expect(reason).toMatchObject({ code: Status.DEADLINE_EXCEEDED })
  })

  it("by deadline comes from the client when the server does not answer", async () => {
    const { url } = await startServer({ "/t/Stuck": unary(() => new Promise(() => undefined)) })
    const connection = await connectTo(url)
    expect(await failureOf(connection.unary("/t/Stuck", Buffer.alloc(0), { timeoutMs: 20 }))).toMatchObject({
      code: Status.DEADLINE_EXCEEDED,
    })
  })

  it("by cancellation reaches the handler's signal and fails its read", async () => {
    const seen: Array<unknown> = []
    const { url } = await startServer({
      "/t/Read": {
        kind: "streaming",
        handle: async (call, incoming) => {
          call.sendHeaders()
          call.signal.addEventListener("abort", () => seen.push(call.signal.reason))
          await incoming.read()
          await incoming.read().catch((cause: unknown) => seen.push(cause))
        },
      },
    })
    const controller = new AbortController()
    const call = (await connectTo(url)).open("/t/Read", { signal: controller.signal })
    await call.write(Buffer.from("x"))
    await call.headers
    controller.abort()
    expect(await call.status).toMatchObject({ code: Status.CANCELLED })
    await eventually("signal and read failed", () => seen.length === 2)
    for (const cause of seen) expect(cause).toMatchObject({ code: Status.CANCELLED })
  })

  it("by a lost connection fails both ends with UNAVAILABLE", async () => {
    const seen: Array<unknown> = []
    const { url } = await startServer({
      "/t/Read": {
        kind: "streaming",
        handle: async (call, incoming) => {
          call.sendHeaders()
          await incoming.read().catch((cause: unknown) => seen.push(cause))
        },
      },
    })
    const connection = await connectTo(url)
    const call = connection.open("/t/Read")
    await call.headers
    connection.destroy()
    expect(await call.status).toMatchObject({ code: Status.UNAVAILABLE })
    await eventually("the server's read failed", () => seen.length === 1)
    expect(seen[0]).toMatchObject({ code: Status.UNAVAILABLE })
  })

  it("frees the stream at both ends, whoever ended it and whatever was left unread", async () => {
    let open = 0
    const counted = (handler: MethodHandler): MethodHandler => ({
      kind: "streaming",
      handle: (call, incoming) => {
        open++
        call.stream.once("close", () => open--)
        if (handler.kind === "streaming") return handler.handle(call, incoming)
        return Promise.reject(new Error("not a stream"))
      },
    })
    const filler = Buffer.alloc(100_000)
    const { url } = await startServer({
      "/t/Refuse": counted({
        kind: "streaming",
        handle: () => Promise.reject(grpcError(Status.PERMISSION_DENIED, "no")),
      }),
      "/t/Ignore": counted({ kind: "streaming", handle: async (call) => call.sendHeaders() }),
      "/t/Echo": counted(echo),
    })
    const connection = await connectTo(url)
    const clientStreams: Array<{ readonly closed: boolean }> = []
    for (let round = 0; round < 50; round++) {
      const [refused, ignored, cancelled, finished] = ["Refuse", "Ignore", "Echo", "Echo"].map((name) => {
        const call = connection.open(`/t/${name}`)
        clientStreams.push(call.stream)
        call.write(filler).catch(() => undefined)
        return call
      })
      await cancelled?.headers
      cancelled?.cancel()
      finished?.end()
      expect((await finished?.reader.read())?.length).toBe(filler.length)
      expect(await finished?.reader.read()).toBeUndefined()
      expect(await finished?.status).toBeUndefined()
      expect((await refused?.status)?.code).toBe(Status.PERMISSION_DENIED)
      expect(await ignored?.status).toBeUndefined()
    }
    await eventually("every stream is closed at the server", () => open === 0)
    await eventually("every stream is closed at the client", () => clientStreams.every((s) => s.closed))
  })
})
