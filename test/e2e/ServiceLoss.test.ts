/** A replica that holds a session is killed or drained while WebSockets and downloads of a service go through another. */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import WebSocket from "ws"
import { Link } from "../../src/client/Link.ts"
import { openStream } from "../../src/client/Streams.ts"
import { type Application, pattern, startApplication } from "../kit/Application.ts"
import { TestCluster, until } from "../kit/Cluster.ts"
import { echoServer, sshToken } from "../kit/Forward.ts"
import { startOldProxy } from "../kit/OldProxy.ts"
import { ask, expose, portOf } from "../kit/Services.ts"

let cluster: TestCluster
let application: Application
let id = ""
let hostname = ""
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 3 })
  application = await startApplication()
  id = (await cluster.create("web")).metadata?.id ?? ""
  await cluster.ready("web")
  hostname = (await expose(cluster, "web", application.port)).hostname
}, 120_000)
afterAll(async () => {
  application?.close()
  await cluster?.stop()
}, 60_000)

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex")

const messageBytes = 64 * 1024
const messages = 60
const downloadBytes = 12 * 1024 * 1024

/** Sends random messages, each when the one before has come back, and hashes both ways. */
const echoes = async (port: number, half: () => void) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host: hostname } })
  await once(socket, "open", { signal: AbortSignal.timeout(10_000) })
  const sent: Array<Buffer> = []
  const received: Array<Buffer> = []
  for (let count = 0; count < messages; count++) {
    const message = randomBytes(messageBytes)
    sent.push(message)
    const answer = once(socket, "message", { signal: AbortSignal.timeout(30_000) })
    socket.send(message)
    received.push((await answer)[0])
    if (count === messages / 2) half()
  }
  socket.close(1000)
  const [code] = await once(socket, "close", { signal: AbortSignal.timeout(10_000) })
  return [code, sha256(Buffer.concat(received)), sha256(Buffer.concat(sent))] as const
}

/** Loses the session's holder once half of the echoes are back, while a download is under way. */
const surviving = async (lose: (holder: string) => Promise<unknown>) => {
  const { sessionHolder: holder } = await cluster.locate(id)
  const client = cluster.names.find((name) => name !== holder) ?? ""
  const port = portOf(cluster, client)
  const accepted = application.accepted()
  const half = Promise.withResolvers<void>()
  // Half a minute at this pace, less than a second of it before the loss.
  const download = ask(port, hostname, `/download?bytes=${downloadBytes}&pace=10`)
  const echoed = echoes(port, half.resolve)
  await half.promise
  await lose(holder)
  const [code, came, wanted] = await echoed
  expect([code, came]).toEqual([1000, wanted])
  const { status, body } = await download
  expect([status, sha256(body)]).toEqual([200, sha256(pattern(0, downloadBytes))])
  // Nothing was asked of the application again.
  expect(application.accepted()).toBe(accepted + 2)
  return { holder, client }
}

const threeAgain = (via: string) =>
  until("all three replicas have shards again", async () => {
    const { replicas } = await cluster.status(via)
    return replicas.filter((replica) => replica.live && replica.shards > 0).length === 3
  })

const metric = async (name: string, line: RegExp): Promise<number> => {
  const { metricsUrl } = cluster.replica(name)
  const text = await (await fetch(metricsUrl)).text()
  return Number(line.exec(text)?.[1] ?? 0)
}

describe("a stream of our client where only HTTP/1.1 passes", () => {
  it("rides on WebSockets, and goes on byte for byte when its replica is killed", async () => {
    const target = await echoServer()
    const [first = "", second = ""] = cluster.names
    const proxies = await Promise.all(
      [first, second].map((name) => startOldProxy(() => portOf(cluster, name))),
    )
    const [url = "", ...others] = proxies.map((proxy) => proxy.url)
    const link = new Link({ url, others })
    const tokens = await sshToken(await cluster.connection(second), id)
    const { duplex, resumable } = await openStream(link, {
      kind: "tcp",
      sandboxId: id,
      serviceId: "test",
      target: { host: "127.0.0.1", port: target.port },
      token: async () => tokens,
    })
    expect(resumable).toBe(true)
    const payload = randomBytes(8 * 1024 * 1024)
    const chunks: Array<Buffer> = []
    let received = 0
    let killed: Promise<unknown> | undefined
    duplex.write(payload.subarray(0, payload.length / 2))
    for await (const chunk of duplex) {
      chunks.push(chunk)
      received += chunk.length
      if (received < 2 * 1024 * 1024 || killed !== undefined) continue
      killed = cluster.kill(first)
      void killed.then(() => duplex.end(payload.subarray(payload.length / 2)))
    }
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(payload))
    expect(proxies.every((proxy) => proxy.refused() <= 1)).toBe(true)
    link.close()
    for (const proxy of proxies) proxy.close()
    target.close()
    await cluster.restart(first)
    await threeAgain(first)
  }, 90_000)
})

describe("a WebSocket and a download of a service", () => {
  it("go on, byte for byte, when the replica that holds the session is killed", async () => {
    const { holder, client } = await surviving((name) => cluster.kill(name))
    expect(
      await metric(client, /^holdfast_streams_resumed_total\{kind="http",by="gateway"\} (\d+)/m),
    ).toBeGreaterThan(1)
    expect(
      await metric(client, /^holdfast_stream_bytes_total\{kind="http",direction="out"\} (\d+)/m),
    ).toBeGreaterThan(downloadBytes)
    await cluster.restart(holder)
    await threeAgain(holder)
  }, 90_000)

  it("go on, byte for byte, when it is rolled", async () => {
    await surviving((name) => cluster.restart(name))
  }, 90_000)
})
