/** HTTP services of sandboxes, asked through replicas that do not hold the session, and while replicas are lost. */
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { Agent } from "node:http"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import WebSocket from "ws"
import { Link } from "../../src/client/Link.ts"
import { openStream } from "../../src/client/Streams.ts"
import { OpenShell } from "../../src/wire/openshell-v1/Generated.ts"
import { holdfast } from "../cli/Launch.ts"
import { type Application, pattern, startApplication } from "../kit/Application.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { echoServer, sshToken } from "../kit/Forward.ts"
import { startOldProxy } from "../kit/OldProxy.ts"
import { ask, expose, portOf } from "../kit/Services.ts"
import { until } from "../kit/Until.ts"

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
  return { holder, client }
}

/** A stream of our client through proxies that refuse HTTP/2; it goes on when `lost` says so. */
const riding = async (replicas: ReadonlyArray<string>, lost: Promise<unknown>) => {
  const target = await echoServer()
  const proxies = await Promise.all(replicas.map((name) => startOldProxy(() => portOf(cluster, name))))
  const [url = "", ...others] = proxies.map((proxy) => proxy.url)
  const link = new Link({ url, others })
  const token = await sshToken(await cluster.connection(replicas[1] ?? ""), id)
  const { duplex, resumable } = await openStream(link, {
    kind: "tcp",
    sandboxId: id,
    serviceId: "test",
    target: { host: "127.0.0.1", port: target.port },
    token: async () => token,
  })
  expect(resumable).toBe(true)
  const payload = randomBytes(4 * 1024 * 1024)
  const half = payload.length / 2
  const finish = async () => {
    await lost
    duplex.end(payload.subarray(half))
    const chunks: Array<Buffer> = []
    for await (const chunk of duplex) chunks.push(chunk)
    link.close()
    for (const proxy of proxies) proxy.close()
    target.close()
    return [sha256(Buffer.concat(chunks)), proxies.every((proxy) => proxy.refused() <= 1)]
  }
  duplex.write(payload.subarray(0, half))
  return { finished: finish(), wanted: [sha256(payload), true] }
}

/** Port of a replica that does not hold the session. */
const elsewhere = async (): Promise<number> => {
  const { sessionHolder } = await cluster.locate(id)
  return portOf(cluster, cluster.names.find((name) => name !== sessionHolder) ?? "")
}

const metric = async (name: string, line: RegExp): Promise<number> => {
  const { metricsUrl } = cluster.replica(name)
  const text = await (await fetch(metricsUrl)).text()
  return Number(line.exec(text)?.[1] ?? 0)
}

describe("a service", () => {
  it("is asked by its host name, through any replica, and leaves nothing open", async () => {
    for (const name of cluster.names) {
      const port = portOf(cluster, name)
      const answer = await ask(port, hostname, "/some/where?x=1")
      expect([answer.status, answer.body.toString()]).toEqual([200, "GET /some/where?x=1"])
      await Promise.all(Array.from({ length: 50 }, (_, at) => ask(port, hostname, `/${at}`)))
    }
    const body = randomBytes(8 * 1024 * 1024)
    const echoed = await ask(await elsewhere(), hostname, "/echo", { method: "POST", body })
    expect(sha256(echoed.body)).toBe(sha256(body))
    await until("the application is left", async () => application.connections() === 0, 5_000)
  })
})

describe("`holdfast service`", () => {
  const run = (...args: ReadonlyArray<string>) =>
    holdfast(["service", ...args], { gateway: cluster.replica(cluster.names[1] ?? "").url })

  it("exposes, shows, lists and deletes", async () => {
    const exposed = await run("expose", "web", String(application.port), "cli")
    expect([exposed.code, exposed.stderr]).toEqual([0, ""])
    const url = exposed.stdout.trim()
    expect(new URL(url).hostname).toBe("default--web--cli.openshell.localhost")
    expect(JSON.parse((await run("list", "web", "-o", "json")).stdout)).toMatchObject([
      { sandboxName: "web", serviceName: "", targetPort: application.port },
      { sandboxName: "web", serviceName: "cli", targetPort: application.port, url },
    ])
    expect((await run("get", "web", "cli")).stdout).toContain(url)
    expect((await run("delete", "web", "cli")).code).toBe(0)
    const gone = await run("get", "web", "cli")
    expect(gone.code).toBe(5)
    expect(gone.stderr).toContain("service endpoint not found")
    expect((await run("expose", "web", "70000")).code).toBe(2)
  })
})

describe("the gateway answers itself", () => {
  const page = async (host: string, headers: Record<string, string> = {}) => {
    const { status, body } = await ask(await elsewhere(), hostname, "/", { headers: { host, ...headers } })
    return [status, body.toString()]
  }

  it("for names that are none, that nobody exposed, and pages of other origins", async () => {
    expect(await page("a--b--c--d.openshell.localhost")).toEqual([400, "Invalid service host\n"])
    expect(await page("alone.openshell.localhost")).toEqual([400, "Invalid service host\n"])
    expect(await page("default--web--no.openshell.localhost")).toEqual([404, "Service endpoint not found\n"])
    expect(await page("example.com")).toEqual([404, "not found\n"])
    expect(await page(hostname, { origin: "http://example.com" })).toEqual([
      403,
      "Cross-origin requests are not allowed\n",
    ])
    expect((await page(hostname, { origin: `http://${hostname}` }))[0]).toBe(200)
  })

  it("when nothing listens there, and as soon as that changes not any more", async () => {
    const { hostname: other } = await expose(cluster, "web", 1, "api")
    expect(other).toBe("default--web--api.openshell.localhost")
    expect(await page(other)).toEqual([502, "Service endpoint is not reachable\n"])
    await expose(cluster, "web", application.port, "api")
    await until("the new port is used", async () => (await page(other))[0] === 200, 5_000)
    const connection = await cluster.connection(cluster.names[0] ?? "")
    expect(
      await callUnary(connection, OpenShell.method.deleteService, { sandbox: "web", service: "api" }),
    ).toMatchObject({ deleted: true })
    await until("it is gone", async () => (await page(other))[0] === 404, 5_000)
  })

  it("when the sandbox is stopped, or gone", async () => {
    await cluster.create("brief")
    await cluster.ready("brief")
    const { hostname: brief } = await expose(cluster, "brief", application.port)
    expect((await page(brief))[0]).toBe(200)
    const connection = await cluster.connection(cluster.names[0] ?? "")
    await callUnary(connection, OpenShell.method.stopSandbox, { name: "brief" })
    expect(await page(brief)).toEqual([412, "Sandbox is not ready\n"])
    await callUnary(connection, OpenShell.method.deleteSandbox, { name: "brief" })
    await until("it is gone", async () => (await page(brief))[0] === 404, 10_000)
  })
})

describe("a WebSocket and a download of a service", () => {
  it("go on, byte for byte, when the session's holder is killed; so does a stream where only HTTP/1.1 passes", async () => {
    const { sessionHolder } = await cluster.locate(id)
    const killed = Promise.withResolvers<void>()
    const others = cluster.names.filter((name) => name !== sessionHolder)
    const { finished, wanted } = await riding([sessionHolder, ...others], killed.promise)
    const accepted = application.accepted()
    const { holder, client } = await surviving(async (name) => {
      await cluster.kill(name)
      killed.resolve()
    })
    expect(await finished).toEqual(wanted)
    // Nothing was asked of the application again.
    expect(application.accepted()).toBe(accepted + 2)
    expect(
      await metric(client, /^holdfast_streams_resumed_total\{kind="http",by="gateway"\} (\d+)/m),
    ).toBeGreaterThan(1)
    expect(
      await metric(client, /^holdfast_stream_bytes_total\{kind="http",direction="out"\} (\d+)/m),
    ).toBeGreaterThan(downloadBytes)
    await cluster.restart(holder)
    await until("all three replicas have shards again", async () => {
      const { replicas } = await cluster.status(holder)
      return replicas.filter((replica) => replica.live && replica.shards > 0).length === 3
    })
  }, 90_000)

  it("go on, byte for byte, when it is rolled; what goes through itself it serves to the end", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 2 })
    const bytes = 2 * 1024 * 1024
    await surviving(async (holder) => {
      const port = portOf(cluster, holder)
      const download = ask(port, hostname, `/download?bytes=${bytes}&pace=100`, { agent })
      await ask(port, hostname, "/", { agent })
      const stopped = cluster.restart(holder)
      const word = async () => (await ask(port, hostname, "/", { agent })).headers.connection
      await until("clients are told to go elsewhere", async () => (await word()) === "close", 5_000)
      expect(sha256((await download).body)).toBe(sha256(pattern(0, bytes)))
      await stopped
    })
    agent.destroy()
  }, 90_000)
})
