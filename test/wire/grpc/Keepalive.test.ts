import http2 from "node:http2"
import net from "node:net"
import { describe, expect, it } from "vitest"
import { eventually } from "../../kit/Until.ts"
import { connectTo, startServer } from "./TestServer.ts"

/** A relay of bytes that can stop relaying, as a network that drops every packet. */
const cuttable = async (port: number) => {
  const sockets = new Set<net.Socket>()
  const proxy = net.createServer((near) => {
    const far = net.connect(port, "127.0.0.1")
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on("error", () => undefined)
      socket.on("close", () => sockets.delete(socket))
    }
    near.pipe(far)
    far.pipe(near)
  })
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
  const address = proxy.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    cut: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    },
  }
}

describe("keepalive", () => {
  it("of the server ends the session of a peer that has fallen silent", async () => {
    const { server, port } = await startServer({}, { keepalive: { intervalMs: 20, timeoutMs: 40 } })
    const network = await cuttable(port)
    await connectTo(network.url, { keepalive: { intervalMs: 60_000, timeoutMs: 60_000 } })
    expect(server.sessions).toBe(1)
    network.cut()
    await eventually("the session is gone", () => server.sessions === 0)
    network.close()
  })

  it("of the server asks nothing of a client that speaks, and asks one that does not", async () => {
    const { server, port, url } = await startServer({}, { keepalive: { intervalMs: 100, timeoutMs: 5_000 } })
    const network = await cuttable(port)
    const pings = (session: http2.ClientHttp2Session): (() => number) => {
      let count = 0
      session.on("ping", () => {
        count += 1
      })
      return () => count
    }
    const speaks = http2.connect(url)
    const asked = pings(speaks)
    const talk = setInterval(() => speaks.ping(() => undefined), 10)
    const listens = http2.connect(network.url)
    const heard = pings(listens)
    await eventually("the silent one is asked twice", () => heard() >= 2)
    clearInterval(talk)
    expect(asked()).toBe(0)
    expect(server.sessions).toBe(2)
    speaks.destroy()
    listens.destroy()
    network.close()
  })

  it("of the client closes a connection whose server has fallen silent", async () => {
    const { port } = await startServer({})
    const network = await cuttable(port)
    const connection = await connectTo(network.url, { keepalive: { intervalMs: 20, timeoutMs: 40 } })
    network.cut()
    await connection.closed
    network.close()
  })

  it("tolerates a client that pings without pause", async () => {
    const { url, server } = await startServer({})
    const session = http2.connect(url)
    await new Promise((resolve) => session.once("remoteSettings", resolve))
    let goaway = false
    session.on("goaway", () => {
      goaway = true
    })
    for (let n = 0; n < 2_000; n++) {
      await new Promise<void>((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)))
      })
    }
    expect(goaway).toBe(false)
    expect(server.sessions).toBe(1)
    session.destroy()
  })
})
