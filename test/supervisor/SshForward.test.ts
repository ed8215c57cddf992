import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import net, { type AddressInfo, type Socket } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { finish, type SshHarness, ssh, sshArgs, startSsh, until } from "./SshHarness.ts"

let sandbox: SshHarness
const servers: net.Server[] = []

beforeAll(async () => {
  sandbox = await startSsh()
})
afterAll(() => {
  for (const server of servers) server.close()
})

const listen = async (serve: (socket: Socket) => void, host = "127.0.0.1"): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    serve(socket)
  })
  servers.push(server)
  server.listen(0, host)
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

/** Answers with everything it was sent, once the sender has ended its direction. */
const echoAtEnd = (socket: Socket): void => {
  const chunks: Buffer[] = []
  socket.on("data", (chunk) => chunks.push(chunk))
  socket.once("end", () => socket.end(Buffer.concat(chunks)))
}

describe("direct-tcpip", () => {
  it("carries a half-closed exchange to a loopback port through ssh -W", async () => {
    const port = await listen(echoAtEnd)
    const input = randomBytes(3 * 1_048_576)
    const { stdout, code } = await ssh(sandbox, ["-W", `127.0.0.1:${port}`], input)
    expect(code).toBe(0)
    expect(stdout.equals(input)).toBe(true)
  })

  it("reaches localhost by name and the IPv6 loopback", async () => {
    const port = await listen((socket) => void socket.end("four"), "127.0.0.1")
    expect((await ssh(sandbox, ["-W", `localhost:${port}`])).stdout.toString()).toBe("four")
    const port6 = await listen((socket) => void socket.end("six"), "::1")
    expect((await ssh(sandbox, ["-W", `[::1]:${port6}`])).stdout.toString()).toBe("six")
  })

  it.each(["10.1.2.3:80", "example.com:80", "0.0.0.0:80"])(
    "refuses %s as administratively prohibited",
    async (target) => {
      const { code, stderr } = await ssh(sandbox, ["-v", "-W", target])
      expect(code).not.toBe(0)
      expect(stderr).toContain("administratively prohibited")
    },
  )

  it("says that a port is closed", async () => {
    const { stderr } = await ssh(sandbox, ["-v", "-W", "127.0.0.1:1"])
    expect(stderr).toContain("connect failed")
  })

  it("serves many connections through ssh -L and drops them with the client", async () => {
    const open = new Set<Socket>()
    const port = await listen((socket) => {
      open.add(socket)
      socket.once("close", () => open.delete(socket))
      socket.pipe(socket)
    })
    const local = await listen(() => undefined)
    servers.at(-1)?.close()
    const client = spawn("ssh", sshArgs(sandbox, ["-N", "-L", `127.0.0.1:${local}:127.0.0.1:${port}`]))
    const finished = finish(client)
    const dial = async (): Promise<Socket> => {
      const socket = net.connect(local, "127.0.0.1")
      socket.on("error", () => undefined)
      await once(socket, "connect")
      return socket
    }
    const first = await until("the forward", () => true).then(async () => {
      for (;;) {
        try {
          return await dial()
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
    })
    const sockets = [first, ...(await Promise.all(Array.from({ length: 30 }, dial)))]
    for (const [index, socket] of sockets.entries()) socket.write(`hello ${index}`)
    for (const [index, socket] of sockets.entries()) {
      const [chunk] = await once(socket, "data")
      expect(String(chunk)).toBe(`hello ${index}`)
    }
    expect(open.size).toBe(31)
    client.kill("SIGKILL")
    await finished
    await until("the targets are let go", () => open.size === 0)
    for (const socket of sockets) socket.destroy()
  })

  it("refuses remote forwards and agents, and serves the session nevertheless", async () => {
    const remote = await ssh(sandbox, ["-R", "0:127.0.0.1:1", "echo on"])
    expect(remote.stdout.toString()).toBe("on\n")
    const strict = await ssh(sandbox, ["-oExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "echo on"])
    expect(strict.code).not.toBe(0)
    const agent = await ssh(sandbox, ["-A", "echo [$SSH_AUTH_SOCK]"])
    expect(agent.stdout.toString()).toBe("[]\n")
  })
})
