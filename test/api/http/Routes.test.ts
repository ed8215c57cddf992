/** Routing by host name on listeners of every kind. */
import { once } from "node:events"
import http2 from "node:http2"
import https from "node:https"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import WebSocket from "ws"
import { Status } from "../../../src/domain/Status.ts"
import { grpcError } from "../../../src/wire/grpc/GrpcError.ts"
import { type Application, startApplication } from "../../kit/Application.ts"
import { hostname as host, type ListenerKind, startHttpListener } from "../../kit/HttpListener.ts"
import { ask } from "../../kit/Services.ts"

let application: Application
beforeAll(async () => {
  application = await startApplication()
})
afterAll(() => application?.close())

const cleanups: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const listen = async (kind: ListenerKind) => {
  const listener = await startHttpListener(application.port, kind)
  cleanups.push(listener.stop)
  return listener
}

describe("a listener without TLS", () => {
  it("serves services on loopback only, and there not when it is told so", async () => {
    const statusOf = async (kind: ListenerKind) => {
      const { status, body } = await ask((await listen(kind)).port, host, "/")
      return [status, body.toString()]
    }
    expect(await statusOf({})).toEqual([200, "GET /"])
    expect(await statusOf({ loopback: false })).toEqual([404, "Service endpoint is not available\n"])
    expect(await statusOf({ loopbackHttp: false })).toEqual([404, "Service endpoint is not available\n"])
  })

  it("keeps pages of other origins from opening WebSockets", async () => {
    const { port } = await listen({})
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, {
      headers: { host, origin: "http://evil.example" },
    })
    socket.on("error", () => undefined)
    const [, response] = await once(socket, "unexpected-response", { signal: AbortSignal.timeout(5_000) })
    expect(response.statusCode).toBe(403)
  })

  it("answers what is no service itself", async () => {
    const { port } = await listen({})
    const jwks = await ask(port, "gateway.example", "/.well-known/jwks.json")
    expect([jwks.status, jwks.body.toString()]).toEqual([200, '{"keys":[]}'])
    expect((await ask(port, host, "/.well-known/jwks.json")).body.toString()).toBe(
      "GET /.well-known/jwks.json",
    )
  })
})

describe("a listener with TLS", () => {
  it("serves services anywhere, by HTTP/1.1, HTTP/2 and WebSocket, to pages of any origin", async () => {
    const { port } = await listen({ tls: true, loopback: false })
    const headers = { host, origin: "https://elsewhere.example" }
    const asked = https.get({ host: "127.0.0.1", port, path: "/headers", headers, rejectUnauthorized: false })
    const [response] = await once(asked, "response", { signal: AbortSignal.timeout(5_000) })
    let body = ""
    for await (const chunk of response) body += chunk
    expect(JSON.parse(body)).toMatchObject({ "x-forwarded-proto": ["https"], "x-forwarded-host": [host] })

    const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
    const stream = session.request({ ":path": "/status?code=201", ":authority": host })
    const [answer] = await once(stream, "response", { signal: AbortSignal.timeout(5_000) })
    expect(answer[":status"]).toBe(201)
    const odd = session.request({ ":path": "/status?code=799", ":authority": host })
    const [refused] = await once(odd, "response", { signal: AbortSignal.timeout(5_000) })
    expect(refused[":status"]).toBe(502)
    session.destroy()

    const socket = new WebSocket(`wss://127.0.0.1:${port}/ws`, { headers, rejectUnauthorized: false })
    await once(socket, "open", { signal: AbortSignal.timeout(5_000) })
    socket.send("hi")
    expect(String((await once(socket, "message", { signal: AbortSignal.timeout(5_000) }))[0])).toBe("hi")
    socket.terminate()
  })
})

describe("a connection of HTTP/1.1 that is told to leave", () => {
  it("says so with the next answer, and keeps what runs", async () => {
    const { port, server } = await listen({})
    const opened = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host } })
    await once(opened, "open", { signal: AbortSignal.timeout(5_000) })
    const slow = ask(port, host, "/slow?ms=300")
    await expect.poll(() => [...server.connections].filter(({ calls }) => calls.size === 1).length).toBe(2)
    expect([...server.connections].map((connection) => connection.leave())).toEqual([true, true])
    const answer = await slow
    expect([answer.status, answer.headers.connection]).toEqual([200, "close"])
    await expect.poll(() => [...server.connections].length).toBe(1)
    for (const { calls } of server.connections)
      for (const call of calls) call.abandon(grpcError(Status.UNAVAILABLE, "cut"))
    await once(opened, "close", { signal: AbortSignal.timeout(5_000) })
  })
})
