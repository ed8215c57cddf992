import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import WebSocket from "ws"
import { GrpcConnection as Connection, type GrpcConnection } from "../../../src/wire/grpc/GrpcClient.ts"
import type { MethodHandler, ServerCall } from "../../../src/wire/grpc/GrpcServer.ts"
import { tunnelPath } from "../../../src/wire/grpc/WebSocketTunnel.ts"
import { eventually } from "../../kit/Until.ts"
import { failureOf, startServer } from "./TestServer.ts"

const hello: MethodHandler = { kind: "unary", handle: async () => Buffer.from("hello") }

const throughTunnel = async (url: string): Promise<GrpcConnection> =>
  Connection.connect({ url, transport: "websocket", connectTimeoutMs: 5_000 })

describe("HTTP/2 inside a WebSocket", () => {
  it("carries calls, with what is known of the connection that it rides on", async () => {
    let seen: ServerCall["connection"] | undefined
    const { url } = await startServer({
      "/t/Hello": {
        kind: "unary",
        handle: async (call) => {
          seen = call.connection
          return Buffer.from("hello")
        },
      },
    })
    const connection = await throughTunnel(url)
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => connection.unary("/t/Hello", Buffer.alloc(0))),
    )
    expect(answers.every((answer) => answer.toString() === "hello")).toBe(true)
    expect(seen).toMatchObject({ remoteAddress: "127.0.0.1", loopback: true, encrypted: false })
    connection.destroy()
  })

  it("carries large messages both ways, and answers PINGs", async () => {
    const { url } = await startServer({
      "/t/Echo": { kind: "unary", handle: async (_call, message) => Buffer.from(message) },
    })
    const connection = await throughTunnel(url)
    const message = randomBytes(1_000_000)
    for (let count = 0; count < 5; count++)
      expect((await connection.unary("/t/Echo", message)).equals(message)).toBe(true)
    expect(await connection.probe(2_000)).toBe(true)
    connection.destroy()
  })

  it("goes through TLS, whose certificate is checked", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-tunnel-"))
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    execFileSync("openssl", ["req", "-x509", ...curve, ...name, "-keyout", key, "-out", cert], {
      stdio: "ignore",
    })
    const certificate = readFileSync(cert)
    const { port } = await startServer(
      { "/t/Hello": hello },
      { tls: { key: readFileSync(key), cert: certificate } },
    )
    rmSync(folder, { recursive: true, force: true })
    const through = (tls: { readonly ca?: Buffer; readonly serverName?: string }, host = "localhost") =>
      Connection.connect({ url: `https://${host}:${port}`, transport: "websocket", tls })
    const connection = await through({ ca: certificate })
    expect((await connection.unary("/t/Hello", Buffer.alloc(0))).toString()).toBe("hello")
    connection.destroy()
    const named = await through({ ca: certificate, serverName: "localhost" }, "127.0.0.1")
    named.destroy()
    expect(String(await failureOf(through({})))).toContain("certificate")
    expect(String(await failureOf(through({ ca: certificate }, "127.0.0.1")))).toContain("127.0.0.1")
  })

  it("ends with the connection, on either side", async () => {
    const { url, server } = await startServer({ "/t/Hello": hello })
    const connection = await throughTunnel(url)
    await connection.unary("/t/Hello", Buffer.alloc(0))
    expect(server.sessions).toBe(1)
    connection.close()
    await connection.closed
    await eventually("the session is gone", () => server.sessions === 0)
    await eventually("the socket is gone", () => [...server.connections].length === 0)
    const other = await throughTunnel(url)
    await server.close(0)
    await other.closed
  })

  it("is refused to pages of browsers, and elsewhere", async () => {
    const { url } = await startServer({ "/t/Hello": hello })
    const refused = async (path: string, headers: Record<string, string>): Promise<number | undefined> => {
      const socket = new WebSocket(`${url.replace("http", "ws")}${path}`, { headers })
      socket.on("error", () => undefined)
      const [, response] = await once(socket, "unexpected-response", { signal: AbortSignal.timeout(5_000) })
      return response.statusCode
    }
    expect(await refused(tunnelPath, { origin: "http://127.0.0.1" })).toBe(403)
    expect(await refused("/elsewhere", {})).toBe(404)
    const failure = await failureOf(throughTunnel("http://127.0.0.1:1"))
    expect(String(failure)).toContain("ECONNREFUSED")
  })
})
