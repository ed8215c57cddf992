/** Resumable streams between a client of ours and a real supervisor, while real replicas are killed. */
import { createHash, randomBytes } from "node:crypto"
import type { Duplex } from "node:stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { callUnary, openTyped } from "../../src/wire/grpc/Typed.ts"
import { OpenShell } from "../../src/wire/OpenShell.ts"
import { TestCluster, until } from "../kit/Cluster.ts"
import { type EchoServer, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { execStream, openCarrier, openStream } from "../kit/Streams.ts"

const payloadBytes = 8 * 1024 * 1024
const killAfterBytes = 2 * 1024 * 1024

let cluster: TestCluster
let target: EchoServer
let id = ""
beforeAll(async () => {
  cluster = await TestCluster.start()
  target = await echoServer()
  id = (await cluster.create("streams")).metadata?.id ?? ""
  await cluster.ready("streams")
}, 120_000)
afterAll(async () => {
  target?.close()
  await cluster?.stop()
}, 60_000)

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex")

/** Ways in through that replica `first` or not at all (`never`), and then through the others. */
const via = (name: string, order: "first" | "never") => {
  const others = cluster.names.filter((other) => other !== name)
  const names = order === "first" ? [name, ...others] : others
  return names.map((one) => () => cluster.connection(one))
}

const located = () => cluster.locate(id)

/** Sends random bytes and gets them back; `midway` happens when a quarter has returned. */
const echoed = async (stream: Duplex, midway: () => Promise<unknown>) => {
  const payload = randomBytes(payloadBytes)
  const chunks: Buffer[] = []
  let size = 0
  let happening: Promise<unknown> | undefined
  const back = new Promise<void>((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size >= killAfterBytes) happening ??= midway()
    })
    stream.once("end", resolve)
    stream.once("error", reject)
    stream.once("close", () => reject(new Error(`closed after ${size} bytes`)))
  })
  // The second half is sent after the first quarter has returned, so that something is under way at the loss.
  stream.write(payload.subarray(0, payloadBytes / 2))
  await until("a quarter is back", async () => size >= killAfterBytes || stream.destroyed)
  stream.end(payload.subarray(payloadBytes / 2))
  await back
  await happening
  return { sent: sha256(payload), received: sha256(Buffer.concat(chunks)) }
}

const backToThree = async (name: string) => {
  await cluster.restart(name)
  await until("all three replicas have shards again", async () => {
    const { replicas } = await cluster.status(name)
    return replicas.filter((replica) => replica.live && replica.shards > 0).length === 3
  })
}

const tcp = async (holder: string, order: "first" | "never") => {
  const connections = via(holder, order)
  const connection = await connections[0]?.()
  if (connection === undefined) throw new Error("no replica")
  const token = await sshToken(connection, id)
  return { token, stream: openStream({ connections, sandboxId: id, token, kind: "tcp", port: target.port }) }
}

describe("a stream survives kill -9 of", () => {
  it("the session's holder: an echo of some MiB is byte-exact, and no limit counts the lost carrier", async () => {
    const holder = (await located()).sessionHolder
    const { stream } = await tcp(holder, "never")
    const { sent, received } = await echoed(stream, () => cluster.kill(holder))
    expect(received).toBe(sent)
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    await backToThree(holder)
  }, 90_000)

  it("the client's replica: it goes on through another", async () => {
    const holder = (await located()).sessionHolder
    const client = cluster.names.find((name) => name !== holder) ?? ""
    const { stream } = await tcp(client, "first")
    const { sent, received } = await echoed(stream, () => cluster.kill(client))
    expect(received).toBe(sent)
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    await backToThree(client)
  }, 90_000)

  it("the session's holder while a command runs: its output is whole and its exit code arrives", async () => {
    const holder = (await located()).sessionHolder
    const stream = openStream({ connections: via(holder, "never"), sandboxId: id, token: "", kind: "exec" })
    const script =
      "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); [ $i = 2000 ] && sleep 1; done; exit 3"
    let killed: Promise<unknown> | undefined
    const { stdout, exitCode } = await execStream(
      stream,
      { sandboxId: id, command: ["sh", "-c", script] },
      () => {
        killed ??= cluster.kill(holder)
      },
    )
    await killed
    const lines = Array.from({ length: 40_000 }, (_, index) => `line ${index}\n`)
    expect(sha256(stdout)).toBe(sha256(Buffer.from(lines.join(""))))
    expect(exitCode).toBe(3)
    await backToThree(holder)
  }, 90_000)
})

describe("a client without the extension, when the session's holder is killed,", () => {
  it("goes on with its forward, because its replica resumes", async () => {
    const holder = (await located()).sessionHolder
    const connection = await cluster.connection(cluster.names.find((name) => name !== holder) ?? "")
    const token = await sshToken(connection, id)
    const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
    const { sent, received } = await echoed(stream, () => cluster.kill(holder))
    expect(received).toBe(sent)
    await backToThree(holder)
  }, 90_000)

  it("goes on with its command", async () => {
    const holder = (await located()).sessionHolder
    const connection = await cluster.connection(cluster.names.find((name) => name !== holder) ?? "")
    const call = openTyped(connection, OpenShell.method.execSandbox)
    const script = "seq 1 50000; sleep 1; seq 50001 100000; exit 5"
    await call.send({ sandboxId: id, command: ["sh", "-c", script] })
    call.end()
    const stdout: Uint8Array[] = []
    let exitCode: number | undefined
    let killed: Promise<unknown> | undefined
    for (let event = await call.receive(); event !== undefined; event = await call.receive()) {
      if (event.payload.case === "exit") exitCode = event.payload.value.exitCode
      if (event.payload.case !== "stdout") continue
      stdout.push(event.payload.value.data)
      killed ??= cluster.kill(holder)
    }
    await killed
    const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`)
    expect([sha256(Buffer.concat(stdout)), exitCode]).toEqual([sha256(Buffer.from(lines.join(""))), 5])
    await backToThree(holder)
  }, 90_000)
})

describe("a token that is revoked", () => {
  it("cuts the stream for good", async () => {
    const { token, stream } = await tcp("", "never")
    await stream.opened
    await callUnary(await cluster.connection("replica-1"), OpenShell.method.revokeSshSession, { token })
    expect(await stream.outcome).toEqual({
      _tag: "Lost",
      text: "the stream was not resumed: SSH session token is not valid",
    })
  }, 60_000)
})

describe("carriers of one stream", () => {
  it("hold one connection slot together, and other streams of the token their own", async () => {
    const connection = await cluster.connection("replica-1")
    const token = await sshToken(connection, id)
    const open = (key: Buffer) =>
      openCarrier(connection, { sandboxId: id, token, kind: "tcp", port: target.port, key })
    const [first, second, third, fourth] = [1, 2, 3, 4].map((byte) => Buffer.alloc(32, byte))
    const carriers = []
    for (const key of [first, first, second, first, third, third])
      carriers.push(await open(key ?? Buffer.alloc(32)))
    expect(carriers.every(({ stream }) => stream)).toBe(true)
    await expect(open(fourth ?? Buffer.alloc(32))).rejects.toMatchObject({
      message: "SSH session connection limit reached",
    })
    for (const { duplex } of carriers) duplex.destroy()
  }, 60_000)
})
