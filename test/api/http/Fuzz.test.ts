/** Odd requests, odd applications and clients that leave at any moment: an error that nobody handles fails this. */
import http2, { type OutgoingHttpHeaders } from "node:http2"
import { connect } from "node:net"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Application, startApplication } from "../../kit/Application.ts"
import { type HttpListener, hostname, startHttpListener } from "../../kit/HttpListener.ts"
import { until } from "../../kit/Until.ts"

let application: Application
let listener: HttpListener
beforeAll(async () => {
  application = await startApplication()
  listener = await startHttpListener(application.port)
})
afterAll(async () => {
  await listener?.stop()
  application?.close()
})

const path = fc.constantFrom(
  ...["/", "/echo", "/half", "/abort", "/early", "/trailers", "/ws", "*", "http://x/y", "/%zz", "/é"],
  ...[
    "/status?code=101",
    "/status?code=103",
    "/status?code=799",
    "/status?code=204",
    "/download?bytes=300000",
  ],
)
const method = fc.constantFrom("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE")
const webSocket = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13"
const header = fc.constantFrom(
  ...["content-length: 5", "transfer-encoding: chunked", "expect: 100-continue", "expect: x", "te: trailers"],
  ...["connection: close", "connection: x, content-length", "cookie: CF_Authorization=1", "x: ÿ"],
  ...["origin: http://evil", "connection: upgrade\r\nupgrade: h2c", "connection: upgrade\r\nupgrade: foo"],
  `${webSocket}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==`,
)
const leavesMs = fc.integer({ min: 0, max: 60 })
const settings = { numRuns: 150 }

const idle = () => until("the application is left", async () => application.connections() === 0, 5_000)

describe("requests of any kind", () => {
  it("by HTTP/1.1 leave nothing behind, and the listener serves on", async () => {
    const lines = fc.array(header, { maxLength: 3 })
    const body = fc.constantFrom("", "5\r\nhello\r\n0\r\n\r\n", "hello", "zzzz")
    await fc.assert(
      fc.asyncProperty(method, path, lines, body, leavesMs, async (verb, target, headers, bytes, ms) => {
        const socket = connect(listener.port, "127.0.0.1")
        socket.on("error", () => undefined).resume()
        const head = [`${verb} ${target} HTTP/1.1`, `host: ${hostname}`, ...headers].join("\r\n")
        socket.write(Buffer.from(`${head}\r\n\r\n${bytes}`, "latin1"))
        await new Promise<void>((resolve) => {
          socket.once("close", () => resolve())
          setTimeout(() => socket.destroy(), ms)
        })
      }),
      settings,
    )
    await idle()
  })

  it("by HTTP/2 leave nothing behind, and the connection serves on", async () => {
    const session = http2.connect(`http://127.0.0.1:${listener.port}`)
    await new Promise((resolve) => session.once("remoteSettings", resolve))
    const tunnel = { ":method": "CONNECT", ":scheme": "http" }
    const kind = fc.oneof(
      fc.record<OutgoingHttpHeaders>({ ":method": method, expect: fc.constantFrom("100-continue", "x") }),
      fc.record<OutgoingHttpHeaders>({ ":method": method }),
      fc.constantFrom<OutgoingHttpHeaders>(
        { ...tunnel, ":protocol": "websocket" },
        { ...tunnel, ":protocol": "foo" },
      ),
    )
    await fc.assert(
      fc.asyncProperty(kind, path, fc.boolean(), leavesMs, async (headers, target, ends, ms) => {
        const stream = session.request(
          { ...headers, ":path": target, ":authority": hostname },
          { endStream: false },
        )
        stream.on("error", () => undefined).resume()
        stream.write("hello")
        if (ends) stream.end()
        await new Promise<void>((resolve) => {
          stream.once("close", () => resolve())
          setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), ms)
        })
      }),
      settings,
    )
    expect(session.destroyed).toBe(false)
    session.close()
    await idle()
  })
})
