import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import net, { type AddressInfo, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { Effect, Exit, Fiber } from "effect"
import { Client } from "ssh2"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { fromEnvironment, run } from "../../src/supervisor/Supervisor.ts"
import type { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { type DoubleSession, GatewayDouble } from "./GatewayDouble.ts"
import { until } from "./SshHarness.ts"

let gateway: GatewayDouble
let endpoint: string
let workdir: string
const cleanups: Array<() => Promise<unknown> | unknown> = []

beforeEach(async () => {
  gateway = new GatewayDouble()
  endpoint = await gateway.listen()
  workdir = mkdtempSync(join(tmpdir(), "holdfast-session-test-"))
  cleanups.push(
    () => gateway.close(),
    () => rmSync(workdir, { recursive: true, force: true }),
  )
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const start = (
  env: Record<string, string> = {},
  argv: ReadonlyArray<string> = ["sleep", "1000"],
  flags: ReadonlyArray<string> = [],
) => {
  const config = fromEnvironment(
    {
      PATH: process.env.PATH,
      OPENSHELL_SANDBOX_ID: "sandbox-1",
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: endpoint,
      OPENSHELL_SANDBOX_TOKEN: "token-1",
      OPENSHELL_LOG_LEVEL: "off",
      ...env,
    },
    ["--workdir", workdir, ...flags, "--", ...argv],
  )
  const fiber = Effect.runFork(Effect.scoped(Effect.flatMap(config, run)))
  cleanups.push(() => Effect.runPromise(Fiber.interrupt(fiber)))
  return {
    fiber,
    exit: () => Effect.runPromise(Fiber.await(fiber)),
  }
}

const session = (index = 0): Promise<DoubleSession> =>
  until(`session ${index}`, () => gateway.sessions[index])

const tcp = (port: number, host = "127.0.0.1") => ({
  case: "tcp" as const,
  value: { $typeName: "openshell.v1.TcpRelayTarget" as const, host, port },
})
const ssh = { case: "ssh" as const, value: { $typeName: "openshell.v1.SshRelayTarget" as const } }

const listen = async (serve: (socket: Socket) => void): Promise<number> => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    serve(socket)
  })
  cleanups.push(() => void server.close())
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return (server.address() as AddressInfo).port
}

const read = async (duplex: RelayDuplex): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of duplex) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** Runs a command through an SSH relay, as a gateway does for exec. */
const exec = async (on: DoubleSession, command: string): Promise<{ code: unknown; output: string }> => {
  const sock = await on.openRelay(ssh)
  const client = new Client()
  let failure = ""
  client.on("error", (error) => {
    failure = error.message
  })
  client.connect({ sock, username: "sandbox" })
  await once(client, "ready")
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error !== undefined) return reject(error)
      let output = ""
      let code: unknown
      channel.on("data", (chunk: Buffer) => {
        output += chunk.toString()
      })
      channel.on("exit", (...exit: unknown[]) => {
        code = exit[0]
      })
      channel.on("close", () => {
        client.end()
        sock.once("close", () => (failure === "" ? resolve({ code, output }) : reject(new Error(failure))))
      })
    })
  })
}

describe("a session", () => {
  it("says who it is and what it can, with its token, and beats", async () => {
    start()
    const { hello, authorization, heartbeats } = await session()
    expect([hello.sandboxId, authorization]).toEqual(["sandbox-1", "Bearer token-1"])
    expect(hello.instanceId).toMatch(/^[0-9a-f-]{36}$/)
    expect(hello.holdfast).toMatchObject({ connectionEpoch: 1n, fence: true, liveChannelIds: [] })
    expect(Math.abs(Number(hello.holdfast?.instanceStartedAtMs) - Date.now())).toBeLessThan(60_000)
    await until("a heartbeat", () => heartbeats() > 0)
  })

  it("serves TCP relays to loopback, with half-close both ways, many at once", async () => {
    start()
    const on = await session()
    const port = await listen((socket) => void pipeline(socket, socket).catch(() => undefined))
    const relays = await Promise.all(Array.from({ length: 50 }, () => on.openRelay(tcp(port))))
    const echoes = await Promise.all(
      relays.map((relay, index) => {
        relay.end(`${index}:${"x".repeat(100_000)}`)
        return read(relay)
      }),
    )
    expect(echoes.map((echo) => echo.length)).toEqual(relays.map((_, index) => `${index}:`.length + 100_000))
  })

  it.each([
    ["port 0", 0, "127.0.0.1", "between 1 and 65535"],
    ["an address outside", 80, "10.0.0.1", "must be loopback"],
    ["a name that is not resolved", 80, "example.com", "must be loopback"],
    ["a closed port", 1, "127.0.0.1", "ECONNREFUSED"],
  ])("refuses %s with a reason and lives on", async (_name, port, host, reason) => {
    start()
    const on = await session()
    await expect(on.openRelay(tcp(port, host))).rejects.toThrow(reason)
    const echo = await listen((socket) => void socket.end("still here"))
    expect(await read(await on.openRelay(tcp(echo)))).toBe("still here")
  })

  it("runs commands over SSH relays", async () => {
    start()
    const on = await session()
    expect(await exec(on, "pwd; exit 6")).toEqual({ code: 6, output: `${workdir}\n` })
    expect(await exec(on, "echo again")).toEqual({ code: 0, output: "again\n" })
  })

  it("refuses relays of an owner that another has replaced, also after a reconnect", async () => {
    gateway.terms = { epoch: 7n }
    start()
    const on = await session()
    const port = await listen((socket) => void socket.end("ok"))
    await expect(on.openRelay(tcp(port), { epoch: 6n })).rejects.toThrow("stale epoch 6")
    expect(await read(await on.openRelay(tcp(port), { epoch: 9n }))).toBe("ok")
    on.destroyConnection()
    const next = await session(1)
    await expect(next.openRelay(tcp(port), { epoch: 8n })).rejects.toThrow("stale epoch 8")
    expect(await read(await next.openRelay(tcp(port)))).toBe("ok")
  })

  it("comes back at once-random pauses with a higher connection epoch and the same instance", async () => {
    start()
    const first = await session()
    first.destroyConnection()
    const second = await session(1)
    second.end()
    const third = await session(2)
    expect([second, third].map(({ hello }) => hello.holdfast?.connectionEpoch)).toEqual([2n, 3n])
    expect(new Set(gateway.sessions.map(({ hello }) => hello.instanceId)).size).toBe(1)
  })

  it("offers nothing that OpenShell's wire does not know when it is told so", async () => {
    start({}, ["sleep", "1000"], ["--no-extensions"])
    const { hello } = await session()
    expect(hello.sandboxId).toBe("sandbox-1")
    expect(hello.holdfast).toBeUndefined()
  })

  it("lets running relays finish when only the session's stream ends, and names them in the next hello", async () => {
    start()
    const first = await session()
    const port = await listen((socket) => void pipeline(socket, socket).catch(() => undefined))
    const relay = await first.openRelay(tcp(port), { channelId: "long-lived" })
    relay.write("before ")
    await once(relay, "readable")
    first.end()
    const second = await session(1)
    expect(second.hello.holdfast?.liveChannelIds).toEqual(["long-lived"])
    relay.end("after")
    expect(await read(relay)).toBe("before after")
  })

  it("goes on asking a gateway that rejects it, no sooner than it was told", async () => {
    gateway.rejection = "not yours"
    gateway.terms = { reconnectDelayMs: 700 }
    start()
    await until("a rejection", () => gateway.rejections.length > 0)
    gateway.rejection = undefined
    await session()
    expect(performance.now() - (gateway.rejections[0] ?? 0)).toBeGreaterThan(650)
  })

  it("finds a cluster that comes up after it, and the endpoint that answers", async () => {
    const dead = await listen((socket) => void socket.destroy())
    start({ OPENSHELL_ENDPOINT: `http://127.0.0.1:${dead},${endpoint}` })
    await session()
  })
})

describe("the calls beside the session", () => {
  it("report the exit code until the gateway has heard it, and end with the same code", async () => {
    gateway.failures.exit = 2
    const { exit } = start({}, ["sh", "-c", "exit 42"])
    expect(await exit()).toEqual(Exit.succeed(42))
    expect(gateway.exits.map(({ exitCode }) => exitCode)).toEqual([42])
  })

  it("report a death by signal as 128 and its number", async () => {
    const { exit } = start({}, ["sh", "-c", "kill -KILL $$"])
    expect(await exit()).toEqual(Exit.succeed(137))
  })

  it("report a main process that does not exist as a shell would", async () => {
    const { exit } = start({}, ["no-such-program"])
    expect(await exit()).toEqual(Exit.succeed(127))
    expect(gateway.exits.map(({ exitCode }) => exitCode)).toEqual([127])
  })

  it("end the supervisor when the gateway does not know the sandbox", async () => {
    gateway.failures.config = Status.NOT_FOUND
    const { exit } = start()
    const result = await exit()
    expect(Exit.isFailure(result) && String(result.cause)).toContain("sandbox not found")
  })

  it("bring provider credentials into new children, and changes of them while polling", async () => {
    gateway.providerEnvironment = { API_KEY: "one", OPENSHELL_SANDBOX: "fake" }
    start({ OPENSHELL_POLICY_POLL_INTERVAL_SECS: "0.05" })
    const on = await session()
    expect((await exec(on, "echo $API_KEY $OPENSHELL_SANDBOX")).output).toBe("one demo\n")
    gateway.providerEnvironment = { API_KEY: "two" }
    gateway.providerRevision = 2n
    const before = gateway.configCalls.length
    await until("two more polls", () => gateway.configCalls.length > before + 1)
    expect((await exec(on, "echo $API_KEY")).output).toBe("two\n")
  })

  it("push log lines with the sandbox's id, and stop for good when they are not welcome", async () => {
    start()
    await session()
    await until("the lines", () => gateway.logs.some(({ message }) => message === "session accepted"))
    expect(gateway.logs.every(({ sandboxId }) => sandboxId === "sandbox-1")).toBe(true)
    expect(gateway.logs.find(({ message }) => message === "session accepted")?.fields.sandbox).toBe(
      "sandbox-1",
    )
  })

  it("renew the token before its end, use the new one and keep it in its file", async () => {
    const jwt = (exp: number, name: string) =>
      `h.${Buffer.from(JSON.stringify({ exp, name })).toString("base64url")}.s`
    const soon = jwt(Math.floor(Date.now() / 1_000) + 2, "old")
    gateway.refreshedToken = jwt(Math.floor(Date.now() / 1_000) + 3_600, "new")
    const file = join(workdir, "token")
    writeFileSync(file, `${soon}\n`, { mode: 0o600 })
    start({ OPENSHELL_SANDBOX_TOKEN: "", OPENSHELL_SANDBOX_TOKEN_FILE: file })
    const first = await session()
    expect(first.authorization).toBe(`Bearer ${soon}`)
    await until("the new token", () => readFileSync(file, "utf8") === gateway.refreshedToken)
    first.destroyConnection()
    expect((await session(1)).authorization).toBe(`Bearer ${gateway.refreshedToken}`)
  })
})
