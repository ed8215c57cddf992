/** One request after the other through Node's own client: what passes, what does not, and how it ends. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import http2 from "node:http2"
import { connect } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import WebSocket from "ws"
import { type Application, pattern, startApplication } from "../../kit/Application.ts"
import { type HttpListener, hostname, startHttpListener } from "../../kit/HttpListener.ts"
import { ask } from "../../kit/Services.ts"
import { until } from "../../kit/Until.ts"

let application: Application
let listener: HttpListener
let port = 0
beforeAll(async () => {
  application = await startApplication()
  listener = await startHttpListener(application.port)
  port = listener.port
})
afterAll(async () => {
  await listener?.stop()
  application?.close()
})

const get = (path: string, headers: Record<string, string | string[]> = {}) =>
  ask(port, hostname, path, { headers })

/** What comes back for bytes that no client library would send. */
const raw = async (text: string): Promise<string> => {
  const socket = connect({ host: "127.0.0.1", port })
  const chunks: Array<Buffer> = []
  socket.on("data", (chunk) => chunks.push(chunk))
  socket.write(text)
  await once(socket, "close", { signal: AbortSignal.timeout(10_000) })
  return Buffer.concat(chunks).toString()
}

describe("a service", () => {
  it("answers as the application does", async () => {
    expect((await get("/status?code=204")).status).toBe(204)
    expect((await get("/status?code=304")).status).toBe(304)
    const head = await ask(port, hostname, "/download?bytes=5000", { method: "HEAD" })
    expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "5000", 0])
    expect((await get("/trailers")).trailers).toEqual({ "x-sum": "42" })
    expect((await ask(port, hostname, "/x", { method: "POST" })).body.toString()).toBe("POST /x")
  })

  it("takes and gives bodies of any size and framing", async () => {
    const body = randomBytes(8 * 1024 * 1024)
    const counted = await ask(port, hostname, "/echo", {
      method: "PUT",
      body,
      headers: { "content-length": String(body.length) },
    })
    expect(counted.body.equals(body)).toBe(true)
    expect(counted.headers["content-length"]).toBe(String(body.length))
    const chunked = await ask(port, hostname, "/echo", {
      method: "POST",
      body,
      headers: { "transfer-encoding": "chunked" },
    })
    expect(chunked.body.equals(body)).toBe(true)
    const download = await get(`/download?chunked&bytes=${3_000_001}`)
    expect(download.body.equals(pattern(0, 3_000_001))).toBe(true)
  })

  it("gets the headers of its clients without what belongs to a connection or to the gateway", async () => {
    const answer = await get("/headers", {
      authorization: "Bearer secret",
      "cf-access-jwt-assertion": "secret",
      "x-client-cert": "secret",
      "x-hop": "1",
      "x-kept": ["one", "two"],
      connection: "keep-alive, x-hop",
      cookie: "CF_Authorization=secret; theme=dark",
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-proto": "gopher",
    })
    const seen = JSON.parse(answer.body.toString())
    expect(seen).toEqual({
      host: [`${hostname}:${port}`],
      connection: ["close"],
      cookie: ["theme=dark"],
      "x-kept": ["one", "two"],
      "x-forwarded-for": ["192.0.2.1, 127.0.0.1"],
      "x-forwarded-host": [`${hostname}:${port}`],
      "x-forwarded-proto": ["http"],
    })
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"])
    expect(answer.headers.connection).toBe("keep-alive")
  })

  it("is told to go on before a client sends its body", async () => {
    const body = "x".repeat(1000)
    const request = `PUT /echo HTTP/1.1\r\nhost: ${hostname}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n`
    const socket = connect({ host: "127.0.0.1", port })
    socket.write(request)
    const [first] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) })
    expect(String(first)).toBe("HTTP/1.1 100 Continue\r\n\r\n")
    socket.write(body)
    let rest = ""
    socket.on("data", (chunk) => {
      rest += chunk
    })
    await once(socket, "close", { signal: AbortSignal.timeout(10_000) })
    expect(rest).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(rest.endsWith(body)).toBe(true)
  })

  it("may answer before it has read a request, and the client reads the answer", async () => {
    const answer = await ask(port, hostname, "/early", { method: "POST", body: randomBytes(64 * 1024) })
    expect([answer.status, answer.body.toString()]).toEqual([413, "too big"])
  })

  it("that breaks off is a 502, or a broken answer, never a complete one", async () => {
    const answer = await get("/abort")
    expect([answer.status, answer.body.toString()]).toEqual([502, "Service endpoint is not reachable\n"])
    await expect(get("/half")).rejects.toThrow()
  })

  it("loses its connection when the client leaves", async () => {
    const before = application.connections()
    const controller = new AbortController()
    const asked = ask(port, hostname, "/slow?ms=60000", { signal: controller.signal })
    asked.catch(() => undefined)
    await until("the application is asked", async () => application.connections() === before + 1)
    controller.abort()
    await expect(asked).rejects.toThrow()
    await until("the application is left", async () => application.connections() === before, 5_000)
  })

  it("leaves nothing open behind answered requests", async () => {
    await until("the application is left", async () => application.connections() === 0, 5_000)
    await Promise.all(Array.from({ length: 100 }, (_, at) => get(`/${at}`)))
    await until("the application is left", async () => application.connections() === 0, 5_000)
  })

  it("is reached by HTTP/2 on the same port", async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    const asking = async (headers: http2.OutgoingHttpHeaders, body?: Buffer) => {
      const stream = session.request({ ":authority": `${hostname}:${port}`, ...headers })
      const [answer] =
        (body === undefined ? stream.end() : stream.end(body)) && (await once(stream, "response"))
      const chunks: Array<Buffer> = []
      for await (const chunk of stream) chunks.push(chunk)
      return { status: answer[":status"], body: Buffer.concat(chunks), headers: answer }
    }
    const body = randomBytes(3 * 1024 * 1024)
    const echoed = await asking({ ":method": "POST", ":path": "/echo" }, body)
    expect([echoed.status, echoed.body.equals(body)]).toEqual([200, true])
    const seen = await asking({ ":path": "/headers", cookie: "a=1; CF_Authorization=x" })
    expect(JSON.parse(seen.body.toString()).cookie).toEqual(["a=1"])
    expect(seen.headers["set-cookie"]).toEqual(["a=1", "b=2"])
    expect((await asking({ ":path": "/abort" })).status).toBe(502)
    await expect(asking({ ":path": "/half" })).rejects.toThrow()
    session.close()
  })
})

describe("a WebSocket to a service", () => {
  it("carries messages both ways and its closing", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, ["chat"], { headers: { host: hostname } })
    await once(socket, "open", { signal: AbortSignal.timeout(10_000) })
    expect(socket.protocol).toBe("chat")
    const message = randomBytes(1024 * 1024)
    socket.send(message)
    const [echoed] = await once(socket, "message", { signal: AbortSignal.timeout(10_000) })
    expect(message.equals(echoed)).toBe(true)
    socket.close(4321, "bye")
    const [code, reason] = await once(socket, "close", { signal: AbortSignal.timeout(10_000) })
    expect([code, String(reason)]).toEqual([4321, "bye"])
    await until("the application is left", async () => application.connections() === 0, 5_000)
  })

  it("goes through one stream of HTTP/2 as well", async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`)
    await once(session, "remoteSettings")
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":authority": hostname,
      ":path": "/ws",
      "sec-websocket-version": "13",
    })
    const [answer] = await once(stream, "response", { signal: AbortSignal.timeout(10_000) })
    expect(answer[":status"]).toBe(200)
    // A masked text message of two bytes, with a mask of zeros; the echo is not masked.
    stream.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]))
    const [echoed] = await once(stream, "data", { signal: AbortSignal.timeout(10_000) })
    expect(echoed).toEqual(Buffer.from([0x81, 0x02, 0x68, 0x69]))
    stream.close()
    session.close()
    await until("the application is left", async () => application.connections() === 0, 5_000)
  })

  it("that the application declines ends with its answer", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/elsewhere`, { headers: { host: hostname } })
    socket.on("error", () => undefined)
    const [, response] = await once(socket, "unexpected-response", { signal: AbortSignal.timeout(10_000) })
    expect(response.statusCode).toBe(403)
  })
})

describe("a request that is none", () => {
  it("is refused", async () => {
    expect(await raw("GET / HTTP/1.1\r\nconnection: close\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /)
    expect(await raw(`GET / HTTP/1.1\r\nhost: ${hostname}\r\nx: ${"x".repeat(40_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    )
  })
})
