import http2 from "node:http2"
import net from "node:net"
import { describe, expect, it } from "vitest"
import { limits } from "../../../src/domain/Limits.ts"
import { Status } from "../../../src/domain/Status.ts"
import { encodeFrame } from "../../../src/wire/grpc/Framing.ts"
import type { MethodHandler } from "../../../src/wire/grpc/GrpcServer.ts"
import { writeMessage } from "../../../src/wire/grpc/MessageWriter.ts"
import { eventually } from "../../kit/Until.ts"
import { connectTo, failureOf, startServer } from "./TestServer.ts"

const length: MethodHandler = {
  kind: "unary",
  handle: async (_call, message) => Buffer.from(String(message.length)),
}
const echo: MethodHandler = {
  kind: "streaming",
  handle: async (call, incoming) => {
    call.sendHeaders()
    for (let m = await incoming.read(); m !== undefined; m = await incoming.read()) {
      await writeMessage(call.stream, m, call.signal)
    }
  },
}

describe("bad input", () => {
  it("of one byte above 1 MiB is refused and of exactly 1 MiB accepted", async () => {
    const { url } = await startServer({ "/t/Length": length })
    const connection = await connectTo(url)
    const most = Buffer.alloc(limits.inboundMessageBytes)
    expect((await connection.unary("/t/Length", most)).toString()).toBe("1048576")
    expect(await failureOf(connection.unary("/t/Length", Buffer.alloc(most.length + 1)))).toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
      message: "message of 1048577 bytes exceeds the limit of 1048576 bytes",
    })
  })

  it("on one stream leaves the connection's other streams alone", async () => {
    const { url, server } = await startServer({ "/t/Echo": echo, "/t/Length": length })
    const connection = await connectTo(url)
    const healthy = connection.open("/t/Echo")
    await healthy.headers
    const broken: ReadonlyArray<readonly [string, Buffer, number]> = [
      ["compressed", Buffer.from([1, 0, 0, 0, 1, 0]), Status.UNIMPLEMENTED],
      ["unknown flag", Buffer.from([9, 0, 0, 0, 1, 0]), Status.INTERNAL],
      ["oversize", Buffer.from([0, 255, 255, 255, 255]), Status.RESOURCE_EXHAUSTED],
      ["cut short", encodeFrame(Buffer.alloc(10)).subarray(0, 8), Status.INTERNAL],
      ["empty", Buffer.alloc(0), Status.INTERNAL],
    ]
    for (const [what, bytes, code] of broken) {
      const call = connection.open("/t/Length")
      call.stream.end(bytes)
      expect((await call.status)?.code, what).toBe(code)
      await healthy.write(Buffer.from(what))
      expect((await healthy.reader.read())?.toString()).toBe(what)
    }
    expect(server.sessions).toBe(1)
  })

  it("that is not gRPC gets 404 over HTTP/2", async () => {
    const { url } = await startServer({})
    const session = http2.connect(url)
    const stream = session.request({ ":path": "/index.html" })
    const status = await new Promise((resolve) =>
      stream.on("response", (headers) => resolve(headers[":status"])),
    )
    session.destroy()
    expect(status).toBe(404)
  })

  it("as a response above the client's limit fails only that call", async () => {
    const { url } = await startServer({
      "/t/Big": { kind: "unary", handle: async () => Buffer.alloc(100) },
      "/t/Length": length,
    })
    const connection = await connectTo(url, { maxMessageBytes: 50 })
    expect(await failureOf(connection.unary("/t/Big", Buffer.alloc(0)))).toMatchObject({
      code: Status.RESOURCE_EXHAUSTED,
    })
    expect((await connection.unary("/t/Length", Buffer.alloc(3))).toString()).toBe("3")
  })

  it("that is no HTTP at all ends only its own connection", async () => {
    const { url, port, server } = await startServer({ "/t/Length": length })
    const connection = await connectTo(url)
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for (const garbage of ["\0\0\0\0", "GET\r\n\r\n", `${preface}${"x".repeat(100)}`, "PRI * nonsense"]) {
      const socket = net.connect({ port, host: "127.0.0.1" })
      socket.on("error", () => undefined)
      socket.resume()
      socket.end(garbage)
      await new Promise((resolve) => socket.once("close", resolve))
      expect((await connection.unary("/t/Length", Buffer.alloc(2))).toString()).toBe("2")
    }
    await eventually("only the good session is left", () => server.sessions === 1)
  })

  it("keeps a caller's printable x-request-id and replaces anything else", async () => {
    const { url } = await startServer({ "/t/Length": length })
    const session = http2.connect(url)
    const ask = (id: string | undefined): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = session.request({
          ":method": "POST",
          ":path": "/t/Length",
          "content-type": "application/grpc+proto",
          ...(id === undefined ? {} : { "x-request-id": id }),
        })
        stream.on("response", (headers) => resolve(headers["x-request-id"]))
        stream.on("data", () => undefined)
        stream.end(encodeFrame(Buffer.alloc(0)))
      })
    expect(await ask("req-42")).toBe("req-42")
    const uuid = /^[0-9a-f-]{36}$/
    expect(await ask(undefined)).toMatch(uuid)
    expect(await ask("x".repeat(129))).toMatch(uuid)
    session.destroy()
  })
})
