/** Replicas are emptied while they serve, by command and by SIGTERM, and nobody is refused meanwhile. */
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fromEnvironment, run } from "../../src/supervisor/Supervisor.ts"
import { GrpcConnection } from "../../src/wire/grpc/GrpcClient.ts"
import { encodeMessage, methodPath } from "../../src/wire/grpc/Typed.ts"
import { Admin } from "../../src/wire/holdfast-v1/Generated.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import type { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { holdfast } from "../cli/Launch.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { keepCalling } from "../kit/StrictClient.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"
import { until } from "../kit/Until.ts"

const deadlineMs = 8_000
const movers = 12

let cluster: TestCluster
let target: EchoServer
let counter = 0
const cleanups: Array<() => unknown> = []

beforeAll(async () => {
  cluster = await TestCluster.start({
    withoutSupervisors: true,
    environment: () => ({ HOLDFAST_DRAIN_DEADLINE_MS: String(deadlineMs) }),
  })
  target = await echoServer()
}, 90_000)
afterAll(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
  target?.close()
  await cluster?.stop()
}, 60_000)

interface Made {
  readonly id: string
  readonly token: string
}

const sandbox = async (): Promise<string> => {
  counter += 1
  return (await cluster.create(`drain-${counter}`)).metadata?.id ?? ""
}

/** Once its session is there. */
const made = async (id: string): Promise<Made> => ({
  id,
  token: await sshToken(await cluster.connection("replica-1"), id),
})

const double = async (
  holder: string,
  moves: boolean,
): Promise<Made & { readonly double: SupervisorDouble }> => {
  const id = await sandbox()
  const options = { url: cluster.replica(holder).url, sandboxId: id, token: await cluster.token(id) }
  const it = new SupervisorDouble({ ...options, moves })
  cleanups.push(() => it.vanish())
  await it.attach()
  return { ...(await made(id)), double: it }
}

/** Our supervisor itself, dialling through the front door. */
const supervisor = async (): Promise<Made> => {
  const id = await sandbox()
  const workdir = mkdtempSync(join(tmpdir(), "holdfast-drain-test-"))
  const config = fromEnvironment(
    {
      PATH: process.env.PATH,
      OPENSHELL_SANDBOX_ID: id,
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: cluster.local.frontDoor,
      OPENSHELL_SANDBOX_TOKEN: await cluster.token(id),
      OPENSHELL_LOG_LEVEL: "off",
    },
    ["--workdir", workdir, "--", "sleep", "1000"],
  )
  const fiber = Effect.runFork(Effect.scoped(Effect.flatMap(config, run)))
  cleanups.push(async () => {
    await Effect.runPromise(Fiber.interrupt(fiber))
    rmSync(workdir, { recursive: true, force: true })
  })
  await until("it is attached", async () => (await holderOf(id, "replica-1")) !== "")
  return made(id)
}

const replicaOf = async (name: string, via: string) => {
  const found = (await cluster.status(via)).replicas.find((replica) => replica.name === name)
  if (found === undefined) throw new Error(`no replica ${name}`)
  return found
}

const holderOf = async (id: string, via: string) => (await cluster.locate(id, via)).sessionHolder

const same = async (stream: RelayDuplex): Promise<boolean> => {
  const payload = randomBytes(2_000)
  return (await echo(stream, payload)).equals(payload)
}

/** Opens a relay to each sandbox over and over, through each way in turn, until it is stopped; every failure counts. */
const keepOpening = (all: ReadonlyArray<Made>, ways: ReadonlyArray<string>) => {
  const failures: Array<string> = []
  let opened = 0
  let on = true
  const loop = async (url: string): Promise<void> => {
    let connection = await GrpcConnection.connect({ url })
    for (let n = 0; on; n++) {
      const { id, token } = all[n % all.length] ?? { id: "", token: "" }
      try {
        if (connection.draining) connection = await GrpcConnection.connect({ url: cluster.local.frontDoor })
        const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
        if (!(await same(stream))) failures.push("other bytes came back")
        stream.end()
        opened += 1
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        // A call that crossed the server's last word was not begun: clients make it again (RFC 9113, 8.7).
        if (!message.endsWith("(HTTP/2 code 7)")) failures.push(`${url}: ${message}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    connection.destroy()
  }
  const loops = ways.map(loop)
  return {
    /** Returns after that many more opens. */
    further: (more: number) => {
      const enough = opened + more
      return until("further opens", async () => opened >= enough)
    },
    stop: async () => {
      on = false
      await Promise.all(loops)
      return failures
    },
  }
}

const order = async (request: { name: string; cancel?: boolean; deadlineMs?: number }, via: string) =>
  callUnary(await cluster.connection(via), Admin.method.drainReplica, request)

describe("drain and rebalancing", () => {
  const moving: Array<Made & { readonly double: SupervisorDouble }> = []
  const ours: Array<Made> = []

  it("evens out sessions that all came to one replica", async () => {
    for (let n = 0; n < movers; n++) moving.push(await double("replica-1", true))
    expect((await cluster.status()).skew).toBeGreaterThan(0)
    await until(
      "no replica holds more than its part",
      async () => {
        const { replicas, skew } = await cluster.status()
        return skew === 1 && replicas.every(({ sessions }) => sessions === movers / 3)
      },
      30_000,
    )
    // Each was moved once at most: the fewest moves that do it.
    expect(moving.flatMap(({ double: one }) => one.moves).length).toBe((movers * 2) / 3)
  }, 60_000)

  it("by command moves every session of our supervisors, lets other relays run, and can be cancelled", async () => {
    for (let n = 0; n < 2; n++) ours.push(await supervisor())
    const plain = await double("replica-2", false)
    const running = await openForward(await cluster.connection("replica-1"), {
      sandboxId: plain.id,
      token: plain.token,
      port: target.port,
    })
    expect(await same(running)).toBe(true)
    const opening = keepOpening(
      [...ours, ...moving.slice(0, 3)],
      [cluster.replica("replica-1").url, cluster.replica("replica-2").url, cluster.replica("replica-3").url],
    )
    expect((await order({ name: "replica-2", deadlineMs: 60_000 }, "replica-1")).draining).toBe(true)
    await until("only the plain relay is left", async () => {
      const { draining, sessions, shards, drainRemaining } = await replicaOf("replica-2", "replica-3")
      return draining && sessions === 0 && shards === 0 && drainRemaining === 1
    })
    for (const { id } of [...ours, ...moving])
      expect(await holderOf(id, "replica-3")).toMatch(/^replica-[13]$/)
    // Its session was ended so that its supervisor goes elsewhere; its relay goes on.
    expect(await plain.double.ended).toBeUndefined()
    expect(await same(running)).toBe(true)
    const held = openForward(await cluster.connection("replica-1"), {
      sandboxId: plain.id,
      token: plain.token,
      port: target.port,
    })
    await plain.double.attach(cluster.replica("replica-3").url)
    expect(await same(await held)).toBe(true)
    await opening.further(50)
    expect(await opening.stop()).toEqual([])
    running.destroy()
    await until(
      "nothing is left",
      async () => (await replicaOf("replica-2", "replica-3")).drainRemaining === 0,
    )
    expect((await order({ name: "replica-2", cancel: true }, "replica-3")).draining).toBe(false)
    await until("it takes shards and sessions again", async () => {
      const { draining, shards, sessions } = await replicaOf("replica-2", "replica-3")
      return !draining && shards > 0 && sessions > 0
    })
  }, 60_000)

  it("by SIGTERM refuses nothing, keeps a plain relay until the deadline and then says why it ends", async () => {
    const plain = await double("replica-3", false)
    const running = await openForward(await cluster.connection("replica-1"), {
      sandboxId: plain.id,
      token: plain.token,
      port: target.port,
    })
    const ended = new Promise<string>((resolve) => {
      running.once("error", ({ message }) => resolve(message))
      running.once("close", () => resolve("no reason"))
    })
    const opening = keepOpening(
      [...ours, ...moving.slice(0, 3)],
      [cluster.replica("replica-1").url, cluster.replica("replica-3").url],
    )
    const health = {
      url: cluster.replica("replica-3").url,
      next: cluster.local.frontDoor,
      path: methodPath(OpenShell.method.health),
    }
    const watched = encodeMessage(OpenShell.method.watchSandbox.input, { id: plain.id, followStatus: true })
    const strict = [
      keepCalling({ ...health, pauseMs: 1 }),
      keepCalling({ ...health, pauseMs: 400 }),
      keepCalling({
        ...health,
        pauseMs: 20,
        beside: (client) => client.open(methodPath(OpenShell.method.watchSandbox), watched).stream.end(),
      }),
    ]
    await until("all call", async () => strict.every(({ called }) => called() > 2))
    const { pid } = cluster.replica("replica-3")
    const startedAt = performance.now()
    process.kill(pid, "SIGTERM")
    await until("the sessions have moved", async () =>
      (await Promise.all([...ours, ...moving].map(({ id }) => holderOf(id, "replica-1")))).every((holder) =>
        /^replica-[12]$/.test(holder),
      ),
    )
    expect(await same(running)).toBe(true)
    await opening.further(50)
    expect(await opening.stop()).toEqual([])
    expect(await Promise.all(strict.map(({ stop }) => stop()))).toEqual([[], [], []])
    expect(await ended).toMatch(/relay channel dropped|drained/)
    expect(performance.now() - startedAt).toBeGreaterThan(deadlineMs - 500)
    await until("the process is gone", async () => cluster.replica("replica-3").pid === 0)
    for (const { id, token } of ours)
      expect(
        await same(
          await openForward(await cluster.connection("replica-2"), {
            sandboxId: id,
            token,
            port: target.port,
          }),
        ),
      ).toBe(true)
  }, 60_000)

  it("on the command line waits until nothing is left, and shows it", async () => {
    const gateway = cluster.replica("replica-2").url
    const drained = await holdfast(["gateway", "drain", "replica-1", "--wait"], { gateway })
    expect(drained).toMatchObject({ code: 0, stderr: expect.stringContaining("replica-1 is drained.") })
    const { stdout } = await holdfast(["gateway", "status"], { gateway })
    expect(stdout).toMatch(/replica-1 .* 0 +0 +draining, 0 left/)
    const cancelled = await holdfast(["gateway", "drain", "replica-1", "--cancel"], { gateway })
    expect(cancelled).toMatchObject({ code: 0, stderr: "replica-1 serves again.\n" })
  }, 60_000)

  it("is refused where nobody would take over", async () => {
    await order({ name: "replica-1" }, "replica-2")
    await until("the others know", () =>
      order({ name: "replica-2" }, "replica-2").then(
        () => false,
        (error: Error) => error.message.startsWith("no other replica would take over"),
      ),
    )
    await expect(order({ name: "nobody" }, "replica-2")).rejects.toThrow("no live replica is called 'nobody'")
    await order({ name: "replica-1", cancel: true }, "replica-2")
  })
})
