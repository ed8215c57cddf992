/** Resumable streams between a client of ours and a real supervisor, while real replicas are killed. */
import { createHash, randomBytes } from "node:crypto"
import type { Duplex } from "node:stream"
import type { MessageInitShape } from "@bufbuild/protobuf"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  type ExecSandboxEvent,
  type ExecSandboxInputSchema,
  OpenShell,
} from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { type EchoServer, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { execOver, openCarrier, openStream } from "../kit/Streams.ts"
import { until } from "../kit/Until.ts"

const payloadBytes = 8 * 1024 * 1024
const underWayBytes = 2 * 1024 * 1024

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

/** Something that runs while a replica is killed. */
interface Load {
  readonly underWay: Promise<unknown>
  /** To be called after the loss. */
  readonly goOn: () => void
  /** What came, and what should have come. */
  readonly result: Promise<readonly [came: unknown, wanted: unknown]>
}

/** Random bytes and their echo; half of them are sent after the loss. */
const echoLoad = (stream: Duplex): Load => {
  const payload = randomBytes(payloadBytes)
  const underWay = Promise.withResolvers<void>()
  const result = Promise.withResolvers<readonly [unknown, unknown]>()
  const chunks: Buffer[] = []
  let size = 0
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (size >= underWayBytes) underWay.resolve()
  })
  stream.once("end", () => result.resolve([sha256(Buffer.concat(chunks)), sha256(payload)]))
  const failed = (error?: Error) => {
    underWay.resolve()
    result.reject(error ?? new Error(`closed after ${size} bytes`))
  }
  stream.once("error", failed)
  stream.once("close", () => failed())
  stream.write(payload.subarray(0, payloadBytes / 2))
  return {
    underWay: underWay.promise,
    goOn: () => stream.end(payload.subarray(payloadBytes / 2)),
    result: result.promise,
  }
}

type Input = NonNullable<MessageInitShape<typeof ExecSandboxInputSchema>["payload"]>

interface ExecCall {
  readonly send: (input: Input) => Promise<void>
  readonly end: () => void
  readonly receive: () => Promise<ExecSandboxEvent["payload"] | undefined>
}

/** A command that prints some of its lines after the loss, when it is told to. */
const execLoad = ({ send, end, receive }: ExecCall): Load => {
  const underWay = Promise.withResolvers<void>()
  const run = async () => {
    const script = "seq 1 50000; read x; seq 50001 100000; exit 5"
    await send({ case: "start", value: { sandboxId: id, command: ["sh", "-c", script] } })
    const stdout: Uint8Array[] = []
    let exitCode: number | undefined
    for (let event = await receive(); event !== undefined; event = await receive()) {
      if (event.case === "exit") exitCode = event.value.exitCode
      if (event.case !== "stdout") continue
      stdout.push(event.value.data)
      underWay.resolve()
    }
    const lines = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("")
    return [
      [sha256(Buffer.concat(stdout)), exitCode],
      [sha256(Buffer.from(lines)), 5],
    ] as const
  }
  const result = run().finally(underWay.resolve)
  result.catch(() => undefined)
  const goOn = async () => {
    await send({ case: "stdin", value: Buffer.from("\n") })
    end()
  }
  return { underWay: underWay.promise, goOn: () => void goOn(), result }
}

/** Kills a replica while all loads are under way, and expects that none of them notices. */
const surviving = async (replica: string, loads: ReadonlyArray<Load>) => {
  await Promise.all(loads.map(({ underWay }) => underWay))
  await cluster.kill(replica)
  for (const { goOn } of loads) goOn()
  for (const { result } of loads) {
    const [came, wanted] = await result
    expect(came).toEqual(wanted)
  }
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

const command = (replica: string, order: "first" | "never"): ExecCall => {
  const connections = via(replica, order)
  const stream = openStream({ connections, sandboxId: id, token: "", kind: "exec" })
  return { ...execOver(stream), end: () => stream.end() }
}

describe("kill -9", () => {
  it("of the session's holder is not noticed by forwards and commands, with or without the extension", async () => {
    const holder = (await located()).sessionHolder
    const { stream } = await tcp(holder, "never")
    // A client of OpenShell: its replica resumes in its place.
    const connection = await cluster.connection(cluster.names.find((name) => name !== holder) ?? "")
    const token = await sshToken(connection, id)
    const call = openTyped(connection, OpenShell.method.execSandboxInteractive)
    await surviving(holder, [
      echoLoad(stream),
      execLoad(command(holder, "never")),
      echoLoad(await openForward(connection, { sandboxId: id, token, port: target.port })),
      execLoad({
        send: (payload) => call.send({ payload }),
        end: call.end,
        receive: async () => (await call.receive())?.payload,
      }),
    ])
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    await backToThree(holder)
  }, 90_000)

  it("of the client's replica is not noticed by clients that go on through another", async () => {
    const holder = (await located()).sessionHolder
    const client = cluster.names.find((name) => name !== holder) ?? ""
    const { stream } = await tcp(client, "first")
    await surviving(client, [echoLoad(stream), execLoad(command(client, "first"))])
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    await backToThree(client)
  }, 90_000)
})

describe("a token that is revoked", () => {
  it("cuts the stream for good, and what is behind it at once", async () => {
    const before = target.connections()
    const { token, stream } = await tcp("", "never")
    await stream.opened
    await until("the target is connected", async () => target.connections() === before + 1)
    await callUnary(await cluster.connection("replica-1"), OpenShell.method.revokeSshSession, { token })
    expect(await stream.outcome).toEqual({
      _tag: "Lost",
      text: "the stream was not resumed: SSH session token is not valid",
    })
    await until("the target is let go", async () => target.connections() === before)
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
