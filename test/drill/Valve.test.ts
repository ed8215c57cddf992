import net from "node:net"
import { afterEach, describe, expect, it } from "@effect/vitest"
import { Valve, type Way } from "../../src/drill/sites/Valve.ts"

const portOf = (server: net.Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

const eventually = async (what: string, condition: () => boolean): Promise<void> => {
  const deadline = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

describe("a connection that can be cut", () => {
  const servers: Array<net.Server> = []
  const sockets: Array<net.Socket> = []
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })
  const listen = (serve: (socket: net.Socket) => void): Promise<number> =>
    new Promise((resolve) => {
      const server = net.createServer({ allowHalfOpen: true }, (socket) => {
        sockets.push(socket)
        socket.on("error", () => undefined)
        serve(socket)
      })
      servers.push(server)
      server.listen(0, "127.0.0.1", () => resolve(portOf(server)))
    })

  /** A client, a valve and a server: what each end heard, and the handles on all three. */
  const connect = async () => {
    const heard = { client: "", server: "", clientEnded: false, serverEnded: false }
    let server: net.Socket | undefined
    let valve: Valve | undefined
    const serverPort = await listen((socket) => {
      server = socket
      socket.on("data", (chunk) => {
        heard.server += chunk
      })
      socket.on("end", () => {
        heard.serverEnded = true
      })
    })
    const valvePort = await listen((near) => {
      const far = net.connect({ host: "127.0.0.1", port: serverPort, allowHalfOpen: true })
      sockets.push(far)
      valve = new Valve(near, far, () => undefined)
    })
    const client = net.connect({ host: "127.0.0.1", port: valvePort, allowHalfOpen: true })
    sockets.push(client)
    client.on("error", () => undefined)
    client.on("data", (chunk) => {
      heard.client += chunk
    })
    client.on("end", () => {
      heard.clientEnded = true
    })
    await eventually("both ends are connected", () => valve !== undefined && server !== undefined)
    const set = (...closed: ReadonlyArray<Way>) => valve?.set((way) => closed.includes(way))
    return { heard, client, server, set }
  }

  it("passes both ways while it is open", async () => {
    const { heard, client, server } = await connect()
    client.write("there")
    server?.write("back")
    await eventually("both heard", () => heard.server === "there" && heard.client === "back")
  })

  it("holds one way back and passes the other, until it heals", async () => {
    const { heard, client, server, set } = await connect()
    set("forth")
    client.end("lost?")
    server?.write("one way")
    await eventually("the open way passes", () => heard.client === "one way")
    expect(heard).toMatchObject({ server: "", serverEnded: false })
    set()
    await eventually("what waited arrives, and the end", () => heard.server === "lost?" && heard.serverEnded)
  })

  it("tells nobody that an end is gone while it is cut both ways", async () => {
    const { heard, client, server, set } = await connect()
    set("forth", "back")
    server?.resetAndDestroy()
    client.write("hello?")
    // Another connection had the time to pass everything and to end.
    const witness = await connect()
    witness.server?.resetAndDestroy()
    await eventually("the witness hears of it", () => witness.client.destroyed)
    expect(heard.clientEnded).toBe(false)
    expect(client.destroyed).toBe(false)
    set()
    await eventually("the client hears of it", () => client.destroyed)
  })
})
