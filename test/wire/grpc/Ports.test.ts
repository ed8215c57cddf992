import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync } from "node:fs"
import http from "node:http"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { Status } from "../../../src/domain/Status.ts"
import type { MethodHandler, ServerCall } from "../../../src/wire/grpc/GrpcServer.ts"
import { eventually } from "../../kit/Until.ts"
import { connectTo, failureOf, startServer } from "./TestServer.ts"

const hello: MethodHandler = { kind: "unary", handle: async () => Buffer.from("hello") }

const getText = (url: string): Promise<string> =>
  new Promise((resolve, reject) => {
    http
      .get(url, (response) => {
        let text = String(response.statusCode)
        response.on("data", (chunk: Buffer) => {
          text += ` ${chunk.toString()}`
        })
        response.on("end", () => resolve(text))
      })
      .on("error", reject)
  })

describe("one plaintext port", () => {
  it("serves gRPC with prior knowledge and HTTP/1.1", async () => {
    const { url } = await startServer(
      { "/t/Hello": hello },
      { fallback: (request, response) => response.end(`you asked for ${request.url}`) },
    )
    const connection = await connectTo(url)
    expect((await connection.unary("/t/Hello", Buffer.alloc(0))).toString()).toBe("hello")
    expect(await getText(`${url}/a`)).toBe("200 you asked for /a")
  })

  it("answers HTTP/1.1 with 404 when nothing is there for it", async () => {
    const { url } = await startServer({})
    expect(await getText(url)).toBe("404 not found\n")
  })

  it("recognises either protocol when its first bytes trickle in one by one", async () => {
    const { port, server } = await startServer({}, { fallback: (_request, response) => response.end("slow") })
    const trickle = async (text: string): Promise<net.Socket> => {
      const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
      for (const byte of text) {
        socket.write(byte)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      return socket
    }
    const one = await trickle("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    const chunks: Array<Buffer> = []
    for await (const chunk of one) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 200 OK/)

    const two = await trickle("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    await eventually("an HTTP/2 session exists", () => server.sessions === 1)
    two.destroy()
    await eventually("it is gone", () => server.sessions === 0)
  })

  it("tells a handler who called", async () => {
    const seen: Array<ServerCall["connection"]> = []
    const { url, port } = await startServer({
      "/t/Who": {
        kind: "unary",
        handle: async (call) => {
          seen.push(call.connection)
          return Buffer.alloc(0)
        },
      },
    })
    const connection = await connectTo(url)
    await connection.unary("/t/Who", Buffer.alloc(0))
    await connection.unary("/t/Who", Buffer.alloc(0))
    await (await connectTo(url)).unary("/t/Who", Buffer.alloc(0))
    expect(seen[0]).toMatchObject({ loopback: true, encrypted: false, localPort: port })
    expect(seen[1]?.id).toBe(seen[0]?.id)
    expect(seen[2]?.id).not.toBe(seen[0]?.id)
  })
})

describe("a TLS port", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-tls-"))
  const openssl = (...args: ReadonlyArray<string>): void => {
    execFileSync("openssl", [...args], { cwd: directory, stdio: "ignore" })
  }
  openssl(
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split(" "),
    ..."-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem".split(" "),
  )
  const key = readFileSync(join(directory, "key.pem"))
  const cert = readFileSync(join(directory, "cert.pem"))

  it("serves gRPC to a client that trusts its certificate", async () => {
    const { port } = await startServer({ "/t/Hello": hello }, { tls: { key, cert } })
    const connection = await connectTo(`https://localhost:${port}`, { tls: { ca: cert } })
    expect((await connection.unary("/t/Hello", Buffer.alloc(0))).toString()).toBe("hello")
    expect(await failureOf(connectTo(`https://localhost:${port}`))).toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining("self-signed certificate"),
    })
  })

  it("with a client CA refuses clients without a certificate", async () => {
    const { port } = await startServer({ "/t/Hello": hello }, { tls: { key, cert, ca: cert } })
    const known = await connectTo(`https://localhost:${port}`, { tls: { ca: cert, key, cert } })
    expect((await known.unary("/t/Hello", Buffer.alloc(0))).toString()).toBe("hello")
    expect(await failureOf(connectTo(`https://localhost:${port}`, { tls: { ca: cert } }))).toMatchObject({
      code: Status.UNAVAILABLE,
    })
  })
})

describe("closing", () => {
  it("lets running calls finish and takes no new ones", async () => {
    let release: () => void = () => undefined
    const { url, server } = await startServer({
      "/t/Slow": {
        kind: "unary",
        handle: () =>
          new Promise((resolve) => {
            release = () => resolve(Buffer.from("done"))
          }),
      },
    })
    const connection = await connectTo(url)
    const slow = connection.unary("/t/Slow", Buffer.alloc(0))
    const before = release
    await eventually("the call has started", () => release !== before)
    const closing = server.close(5_000)
    await eventually("the client has heard of it", () => connection.draining)
    expect(() => connection.open("/t/Slow")).toThrow(expect.objectContaining({ code: Status.UNAVAILABLE }))
    expect(await failureOf(connectTo(url))).toMatchObject({ code: Status.UNAVAILABLE })
    release()
    expect((await slow).toString()).toBe("done")
    await closing
    await connection.closed
  })

  it("cuts what does not finish within the grace", async () => {
    const { url, server } = await startServer({
      "/t/Stuck": { kind: "unary", handle: () => new Promise(() => undefined) },
    })
    const connection = await connectTo(url)
    const stuck = connection.unary("/t/Stuck", Buffer.alloc(0))
    const failure = failureOf(stuck)
    await server.close(50)
    expect(await failure).toMatchObject({ code: Status.UNAVAILABLE })
  })
})

describe("connecting", () => {
  it("to a port where nobody listens says so", async () => {
    const { port, server } = await startServer({})
    await server.close(0)
    expect(await failureOf(connectTo(`http://127.0.0.1:${port}`))).toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining("ECONNREFUSED"),
    })
  })

  it("to a server that never speaks fails after the connect timeout", async () => {
    const silent = net.createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
    const address = silent.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    expect(await failureOf(connectTo(`http://127.0.0.1:${port}`, { connectTimeoutMs: 50 }))).toMatchObject({
      code: Status.UNAVAILABLE,
      message: expect.stringContaining("no answer in 50 ms"),
    })
    silent.close()
  })
})
