/** Real processes that are really killed and frozen: new work goes on through whoever is left. */
import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { TestCluster } from "../kit/Cluster.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { openStream } from "../kit/Streams.ts"
import { SupervisorDouble } from "../kit/SupervisorDouble.ts"
import { until } from "../kit/Until.ts"

let cluster: TestCluster
let target: EchoServer
beforeAll(async () => {
  cluster = await TestCluster.start({ withoutSupervisors: true })
  target = await echoServer()
}, 90_000)
afterAll(async () => {
  target?.close()
  await cluster?.stop()
}, 60_000)

let counter = 0

/** Creates sandboxes until the wanted replica owns one, and attaches its session elsewhere or there. */
const ownedBy = async (owner: string, holder: string) => {
  for (let attempt = 0; attempt < 60; attempt++) {
    counter += 1
    const created = await cluster.create(`fail-${counter}`, {}, holder)
    const id = created.metadata?.id ?? ""
    if ((await cluster.locate(id, holder)).owner !== owner) continue
    const double = new SupervisorDouble({
      url: cluster.replica(holder).url,
      sandboxId: id,
      token: await cluster.token(id),
      extended: true,
    })
    onTestFinished(() => double.vanish())
    await double.attach()
    return { id, name: `fail-${counter}`, double }
  }
  throw new Error(`no sandbox came to ${owner}`)
}

const works = async (via: string, id: string, token: string): Promise<boolean> => {
  const connection = await cluster.connection(via)
  const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
  const payload = randomBytes(1_000)
  const same = (await echo(stream, payload)).equals(payload)
  stream.end()
  return same
}

const backToThree = async (name: string) => {
  await cluster.restart(name)
  await until("all three replicas have shards again", async () => {
    const { replicas } = await cluster.status(name)
    return replicas.filter((replica) => replica.live && replica.shards > 0).length === 3
  })
}

describe("after kill -9 of", () => {
  it("the owner, the sandbox is reached through every survivor, under a higher epoch", async () => {
    const { id } = await ownedBy("replica-1", "replica-2")
    const before = await cluster.locate(id, "replica-2")
    const token = await sshToken(await cluster.connection("replica-2"), id)
    await cluster.kill("replica-1")
    for (const via of ["replica-2", "replica-3"])
      await until(`${via} reaches it`, () => works(via, id, token), 5_000)
    const after = await cluster.locate(id, "replica-2")
    expect(after.owner).not.toBe("replica-1")
    expect(after.epoch).toBeGreaterThan(before.epoch)
    expect(after.sessionId).toBe(before.sessionId)
    await backToThree("replica-1")
  }, 60_000)

  it("the session's holder, callers wait for the supervisor to come back and are served", async () => {
    const { id, double } = await ownedBy("replica-1", "replica-2")
    const token = await sshToken(await cluster.connection("replica-3"), id)
    await cluster.kill("replica-2")
    await double.ended
    const waiting = works("replica-3", id, token)
    await double.attach(cluster.replica("replica-3").url)
    expect(await waiting).toBe(true)
    await until("replica-1 reaches it", () => works("replica-1", id, token), 5_000)
    await backToThree("replica-2")
  }, 60_000)

  it("the client's replica, the same work succeeds through every other", async () => {
    const { id } = await ownedBy("replica-1", "replica-2")
    const token = await sshToken(await cluster.connection("replica-3"), id)
    expect(await works("replica-3", id, token)).toBe(true)
    await cluster.kill("replica-3")
    for (const via of ["replica-1", "replica-2"]) expect(await works(via, id, token)).toBe(true)
    await backToThree("replica-3")
  }, 60_000)

  it("the client's replica, a stream of our client goes on though the supervisor knows no streams", async () => {
    const { id } = await ownedBy("replica-1", "replica-2")
    const token = await sshToken(await cluster.connection("replica-3"), id)
    const connections = ["replica-3", "replica-1"].map((name) => () => cluster.connection(name))
    const stream = openStream({ connections, sandboxId: id, token, kind: "tcp", port: target.port })
    const before = randomBytes(1_000_000)
    expect((await echo(stream, before)).equals(before)).toBe(true)
    const resumed = new Promise((resolve) => stream.once("resumed", resolve))
    await cluster.kill("replica-3")
    await resumed
    const after = randomBytes(1_000_000)
    expect((await echo(stream, after)).equals(after)).toBe(true)
    stream.end()
    stream.resume()
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    await backToThree("replica-3")
  }, 60_000)

  it("the owner, connection slots are counted anew from what is really open", async () => {
    const { id } = await ownedBy("replica-1", "replica-2")
    const connection = await cluster.connection("replica-3")
    const token = await sshToken(connection, id)
    const open = () => openForward(connection, { sandboxId: id, token, port: target.port })
    const streams = [await open(), await open(), await open()]
    await cluster.kill("replica-1")
    await until("the new owner refuses the fourth", async () => {
      try {
        ;(await open()).destroy()
        throw new Error("a fourth connection opened")
      } catch (error) {
        return error instanceof Error && error.message === "SSH session connection limit reached"
      }
    })
    for (const stream of streams) {
      const payload = randomBytes(500)
      expect((await echo(stream, payload)).equals(payload)).toBe(true)
      stream.destroy()
    }
    await until("the slots are free", () => works("replica-3", id, token))
    await backToThree("replica-1")
  }, 60_000)
})

describe("a frozen owner", () => {
  it("is replaced within its lease, and does nothing as owner once it thaws", async () => {
    const { id, double } = await ownedBy("replica-1", "replica-2")
    const token = await sshToken(await cluster.connection("replica-2"), id)
    const before = await cluster.locate(id, "replica-2")
    await cluster.freeze("replica-1")
    const frozenAt = performance.now()
    await until("a survivor owns it", () => works("replica-3", id, token), 20_000)
    expect((await cluster.locate(id, "replica-3")).epoch).toBeGreaterThan(before.epoch)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, 30_000 - (performance.now() - frozenAt))))
    await cluster.thaw("replica-1")
    // From its first moment on it must not contradict the new owner, whoever asks.
    for (let round = 0; round < 20; round++) {
      const located = await cluster.locate(id, "replica-3")
      expect(located.epoch).toBeGreaterThan(before.epoch)
      expect(await works("replica-2", id, token)).toBe(true)
    }
    await until("the thawed replica serves again", () => works("replica-1", id, token), 20_000)
    // Every command that reached the supervisor carried an epoch: none came from an owner that had been replaced.
    const epochs = double.opens.map((open) => open.holdfast?.epoch ?? 0n)
    expect(epochs.length).toBeGreaterThan(20)
    for (const [index, epoch] of epochs.entries()) {
      expect(epoch).toBeGreaterThan(0n)
      expect(epoch).toBeGreaterThanOrEqual(epochs[index - 1] ?? 0n)
    }
  }, 120_000)
})
