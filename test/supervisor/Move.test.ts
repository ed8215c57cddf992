/** Make before break: a session is left only when the next one is accepted, and what runs on it goes on. */
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import net, { type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { Effect, Fiber } from "effect"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fromEnvironment, run } from "../../src/supervisor/Supervisor.ts"
import { type DoubleSession, GatewayDouble } from "./GatewayDouble.ts"
import { until } from "./SshHarness.ts"

let first: GatewayDouble
let second: GatewayDouble
let firstUrl: string
let secondUrl: string
const cleanups: Array<() => Promise<unknown> | unknown> = []

beforeEach(async () => {
  first = new GatewayDouble()
  second = new GatewayDouble()
  firstUrl = await first.listen()
  secondUrl = await second.listen()
  const workdir = mkdtempSync(join(tmpdir(), "holdfast-move-test-"))
  cleanups.push(
    () => rmSync(workdir, { recursive: true, force: true }),
    () => first.close(),
    () => second.close(),
  )
  const config = fromEnvironment(
    {
      PATH: process.env.PATH,
      OPENSHELL_SANDBOX_ID: "sandbox-1",
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: firstUrl,
      OPENSHELL_SANDBOX_TOKEN: "token-1",
      OPENSHELL_LOG_LEVEL: "off",
    },
    ["--workdir", workdir, "--", "sleep", "1000"],
  )
  const fiber = Effect.runFork(Effect.scoped(Effect.flatMap(config, run)))
  cleanups.push(() => Effect.runPromise(Fiber.interrupt(fiber)))
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const session = (gateway: GatewayDouble, index = 0): Promise<DoubleSession> =>
  until(`session ${index}`, () => gateway.sessions[index])

const echoTarget = async () => {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => undefined)
    void pipeline(socket, socket).catch(() => undefined)
  })
  cleanups.push(() => void server.close())
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    case: "tcp" as const,
    value: { $typeName: "openshell.v1.TcpRelayTarget" as const, host: "127.0.0.1", port },
  }
}

const isOver = async (on: DoubleSession): Promise<boolean> =>
  (await Promise.race([on.ended.then(() => "over"), new Promise((resolve) => setImmediate(resolve))])) ===
  "over"

describe("a supervisor that is asked to move", () => {
  it("announces it, opens the second session under the next connection epoch and keeps the first until it is ended", async () => {
    const before = await session(first)
    expect(before.hello.holdfast).toMatchObject({ redirect: true, connectionEpoch: 1n })
    before.move(secondUrl)
    const after = await session(second)
    expect(after.hello.holdfast?.connectionEpoch).toBe(2n)
    expect(after.hello.instanceId).toBe(before.hello.instanceId)
    expect(await isOver(before)).toBe(false)
    // Both take relays until the owner has ended the one that was replaced.
    const target = await echoTarget()
    for (const on of [before, after]) {
      const relay = await on.openRelay(target)
      relay.end("x")
      expect(String((await once(relay, "data"))[0])).toBe("x")
    }
    before.end()
    const relay = await after.openRelay(target)
    relay.end("y")
    expect(String((await once(relay, "data"))[0])).toBe("y")
    expect([first.sessions.length, second.sessions.length]).toEqual([1, 1])
  })

  it("lets relays of the old connection run on", async () => {
    const before = await session(first)
    const relay = await before.openRelay(await echoTarget(), { channelId: "long-lived" })
    relay.write("before ")
    expect(String((await once(relay, "data"))[0])).toBe("before ")
    before.move(secondUrl)
    const after = await session(second)
    expect(after.hello.holdfast?.liveChannelIds).toEqual(["long-lived"])
    before.end()
    await before.ended
    relay.write("after")
    expect(String((await once(relay, "data"))[0])).toBe("after")
    relay.end()
  })

  it("goes to its configured address when the named one does not answer", async () => {
    const before = await session(first)
    const dead = net.createServer()
    dead.listen(0, "127.0.0.1")
    await once(dead, "listening")
    const { port } = dead.address() as AddressInfo
    dead.close()
    before.move(`http://127.0.0.1:${port}`)
    expect((await session(first, 1)).hello.holdfast?.connectionEpoch).toBe(2n)
  })

  it.each(["https://127.0.0.1:1", "file:///etc/passwd", "http://user:secret@127.0.0.1:1", "nonsense"])(
    "does not send its token to %s",
    async (url) => {
      const before = await session(first)
      before.move(url)
      expect((await session(first, 1)).hello.holdfast?.connectionEpoch).toBe(2n)
      await until("the log", () =>
        first.logs.some(({ message }) => message === "address from a gateway not used"),
      )
    },
  )

  it("keeps the first session while the second is refused, and tries again", async () => {
    const before = await session(first)
    second.rejection = "not now"
    first.rejection = "not now"
    before.move(secondUrl)
    await until("a rejection", () => second.rejections.length > 0)
    const relay = await before.openRelay(await echoTarget())
    relay.end("still served")
    expect(String((await once(relay, "data"))[0])).toBe("still served")
    first.rejection = undefined
    expect((await session(first, 1)).hello.holdfast?.connectionEpoch).toBeGreaterThan(2n)
  })

  it("needs no further attempt when the old session ends before the new one is accepted", async () => {
    const before = await session(first)
    const held = second.holdHellos()
    before.move(secondUrl)
    await held.arrived
    before.end()
    await before.ended
    held.release()
    expect((await session(second)).hello.holdfast?.connectionEpoch).toBe(2n)
    expect(first.sessions.length).toBe(1)
  })

  it("moves again when it is asked again", async () => {
    ;(await session(first)).move(secondUrl)
    ;(await session(second)).move(firstUrl)
    expect((await session(first, 1)).hello.holdfast?.connectionEpoch).toBe(3n)
  })
})

describe("a supervisor that is rejected with another address", () => {
  it("goes there and does not ask the first again", async () => {
    const before = await session(first)
    first.rejection = "elsewhere"
    first.terms = { redirectUrl: secondUrl }
    before.destroyConnection()
    await session(second)
    expect(first.rejections.length).toBe(1)
  })

  it("stops following gateways that send it in a circle, and comes back later", async () => {
    const before = await session(first)
    for (const [gateway, url] of [
      [first, secondUrl],
      [second, firstUrl],
    ] as const) {
      gateway.rejection = "elsewhere"
      gateway.terms = { redirectUrl: url }
    }
    before.destroyConnection()
    await until("four rejections", () => first.rejections.length + second.rejections.length >= 4)
    first.rejection = undefined
    await session(first, 1)
  })
})
