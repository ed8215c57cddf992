import { createHash } from "node:crypto"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import net, { type AddressInfo, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { Client } from "ssh2"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { connect } from "../../src/stream/Connect.ts"
import type { StreamKind } from "../../src/stream/Frames.ts"
import { carrierKey, newIdentity, type StreamIdentity } from "../../src/stream/Proof.ts"
import type { ResumableDuplex } from "../../src/stream/ResumableDuplex.ts"
import { fromEnvironment, run } from "../../src/supervisor/Supervisor.ts"
import type { RelayDuplex } from "../../src/wire/RelayDuplex.ts"
import { execOver, execStream } from "../kit/Streams.ts"
import { GatewayDouble } from "./GatewayDouble.ts"
import { until } from "./SshHarness.ts"

let gateway: GatewayDouble
let workdir: string
let stop: () => Promise<unknown>
const cleanups: Array<() => Promise<unknown> | unknown> = []

beforeEach(async () => {
  gateway = new GatewayDouble()
  const endpoint = await gateway.listen()
  workdir = mkdtempSync(join(tmpdir(), "holdfast-streams-test-"))
  const config = fromEnvironment(
    {
      PATH: process.env.PATH,
      OPENSHELL_SANDBOX_ID: "sandbox-1",
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: endpoint,
      OPENSHELL_SANDBOX_TOKEN: "token-1",
      OPENSHELL_LOG_LEVEL: "off",
    },
    ["--workdir", workdir, "--", "sleep", "1000"],
  )
  const fiber = Effect.runFork(Effect.scoped(Effect.flatMap(config, run)))
  stop = () => Effect.runPromise(Fiber.interrupt(fiber))
  cleanups.push(
    () => rmSync(workdir, { recursive: true, force: true }),
    () => gateway.close(),
    () => stop(),
  )
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

interface Asked {
  readonly kind: StreamKind
  readonly target?: string
  readonly port?: number
  /** What the gateway says of the relay, where it differs from the stream. */
  readonly admitted?: { readonly kind?: string; readonly port?: number; readonly key?: Buffer }
  readonly identity?: StreamIdentity
  readonly binding?: () => string
}

/** A stream over relays that the gateway asks of the newest session, and the relays so far. */
const open = ({ kind, port, admitted = {}, binding = () => "me", ...asked }: Asked) => {
  const identity = asked.identity ?? newIdentity()
  const carriers: RelayDuplex[] = []
  const stream = connect({
    identity,
    kind,
    target: asked.target ?? (kind === "tcp" ? `127.0.0.1:${port}` : ""),
    openCarrier: async () => {
      const session = await until("a session", () => gateway.sessions.at(-1))
      const wanted = admitted.port ?? port
      const carrier = await session.openRelay(
        (admitted.kind ?? kind) === "tcp"
          ? {
              case: "tcp",
              value: { $typeName: "openshell.v1.TcpRelayTarget", host: "127.0.0.1", port: wanted ?? 0 },
            }
          : { case: "ssh", value: { $typeName: "openshell.v1.SshRelayTarget" } },
        {
          stream: {
            key: admitted.key ?? carrierKey(identity.id),
            kind: admitted.kind ?? kind,
            binding: binding(),
          },
        },
      )
      carriers.push(carrier)
      return carrier
    },
  })
  return { stream, carriers }
}

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

const read = async (stream: ResumableDuplex): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const exec = (request: Partial<Parameters<typeof execStream>[1]>) => {
  const { stream, carriers } = open({ kind: "exec" })
  return { stream, carriers, result: execStream(stream, { sandboxId: "sandbox-1", command: [], ...request }) }
}

describe("a tcp stream", () => {
  it("passes bytes and half-closes, and goes on over the next relay when one is lost", async () => {
    const port = await listen((socket) => {
      socket.write("hello ")
      let heard = ""
      socket.on("data", (chunk: Buffer) => {
        heard += chunk.toString()
      })
      socket.once("end", () => socket.end(`heard ${heard}`))
    })
    const { stream, carriers } = open({ kind: "tcp", port })
    stream.write("one ")
    const [first] = await once(stream, "data")
    expect(String(first)).toBe("hello ")
    carriers[0]?.destroy()
    await once(stream, "resumed")
    stream.end("two")
    expect(await read(stream)).toBe("heard one two")
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
    expect(carriers).toHaveLength(2)
  })

  it("is refused with the reason when its target cannot be reached", async () => {
    const { stream } = open({ kind: "tcp", port: 1 })
    await expect(stream.opened).rejects.toMatchObject({
      code: "target",
      message: "cannot reach 127.0.0.1:1: ECONNREFUSED",
    })
  })

  it("is reset when its target resets the connection", async () => {
    const port = await listen((socket) => socket.once("data", () => socket.resetAndDestroy()))
    const { stream } = open({ kind: "tcp", port })
    stream.write("x")
    expect(await stream.outcome).toMatchObject({ _tag: "Reset", by: "peer", code: "target" })
  })

  it("resets its target when the client gives it up", async () => {
    const failed = Promise.withResolvers<string>()
    const port = await listen((socket) => {
      socket.on("error", (error: NodeJS.ErrnoException) => failed.resolve(error.code ?? ""))
      socket.write("x")
      socket.resume()
    })
    const { stream } = open({ kind: "tcp", port })
    await once(stream, "data")
    stream.destroy()
    expect(await failed.promise).toBe("ECONNRESET")
  })
})

describe("a relay that a gateway opened as a carrier", () => {
  it("begins no stream to another target, of another kind or with another key", async () => {
    const port = await listen((socket) => socket.end())
    const cases: ReadonlyArray<Asked> = [
      { kind: "tcp", port, admitted: { port: port + 1 } },
      { kind: "ssh", admitted: { kind: "tcp", port } },
      { kind: "exec", admitted: { kind: "ssh" } },
      { kind: "tcp", port, admitted: { key: Buffer.alloc(32) } },
    ]
    for (const one of cases) await expect(open(one).stream.opened).rejects.toMatchObject({ code: "denied" })
  })

  it("is refused when its kind is not known here", async () => {
    const session = await until("a session", () => gateway.sessions.at(-1))
    const stream = { key: Buffer.alloc(32), kind: "http", binding: "" }
    await expect(
      session.openRelay({ case: "ssh", value: { $typeName: "openshell.v1.SshRelayTarget" } }, { stream }),
    ).rejects.toThrow("streams of kind 'http' are not served here")
  })

  it("does not resume a stream of somebody else", async () => {
    const port = await listen((socket) => socket.write("x"))
    let principal = "me"
    const { stream, carriers } = open({ kind: "tcp", port, binding: () => principal })
    await once(stream, "data")
    principal = "somebody else"
    carriers[0]?.destroy()
    expect(await stream.outcome).toEqual({
      _tag: "Lost",
      text: "the stream was not resumed: the stream belongs to somebody else",
    })
  })
})

describe("an ssh stream", () => {
  it("carries a whole SSH connection across the loss of a relay", async () => {
    const { stream, carriers } = open({ kind: "ssh" })
    const client = new Client()
    client.on("error", () => undefined)
    client.connect({ sock: stream, username: "sandbox" })
    await once(client, "ready")
    const output = await new Promise<string>((resolve, reject) => {
      client.exec("read line; echo got $line", (error, channel) => {
        if (error !== undefined) return reject(error)
        let text = ""
        channel.on("data", (chunk: Buffer) => {
          text += chunk.toString()
        })
        channel.once("close", () => resolve(text))
        carriers[0]?.destroy()
        channel.write("it\n")
      })
    })
    expect(output).toBe("got it\n")
    client.end()
  })
})

describe("a command over a stream", () => {
  it("has its input, environment and directory, and tells both outputs and the exit code", async () => {
    const { stream } = open({ kind: "exec" })
    const { send, receive } = execOver(stream)
    await send({
      case: "start",
      value: {
        sandboxId: "sandbox-1",
        command: ["sh", "-c", 'echo "$GREETING $(pwd)"; cat; echo oops >&2; exit 7'],
        workdir: "/",
        environment: { GREETING: "it's fine" },
        stdin: Buffer.from("first "),
      },
    })
    await send({ case: "stdin", value: Buffer.from("second") })
    stream.end()
    const seen: Record<string, string> = {}
    let code = -1
    for (let event = await receive(); event !== undefined; event = await receive()) {
      if (event.case === "exit") code = event.value.exitCode
      else if (event.case !== undefined)
        seen[event.case] = `${seen[event.case] ?? ""}${Buffer.from(event.value.data).toString()}`
    }
    expect(seen).toEqual({ stdout: "it's fine /\nfirst second", stderr: "oops\n" })
    expect(code).toBe(7)
    expect(await stream.outcome).toEqual({ _tag: "Finished" })
  })

  it("loses no byte when relays are lost while it prints", async () => {
    const { carriers, result } = exec({ command: ["sh", "-c", "seq 1 200000"] })
    for (let lost = 0; lost < 3; lost += 1) {
      const carrier = await until("a carrier", () => carriers[lost])
      carrier.destroy()
    }
    const { stdout, exitCode } = await result
    expect(stdout.toString()).toBe(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join(""))
    expect(exitCode).toBe(0)
  })

  it("gets a terminal that can be resized", async () => {
    const { stream } = open({ kind: "exec" })
    const { send, receive } = execOver(stream)
    const command = ["sh", "-c", 'stty size; read x; stty size; echo "$TERM"']
    await send({
      case: "start",
      value: { sandboxId: "sandbox-1", command, tty: true, cols: 100, rows: 30 },
    })
    let text = ""
    let resized = false
    for (let event = await receive(); event !== undefined; event = await receive()) {
      if (event.case === "stdout") text += Buffer.from(event.value.data).toString()
      if (resized || !text.includes("30 100")) continue
      resized = true
      await send({ case: "resize", value: { cols: 120, rows: 40 } })
      await send({ case: "stdin", value: Buffer.from("\n") })
      stream.end()
    }
    expect(text.replaceAll("\r", "").trim().split("\n")).toEqual(["30 100", "", "40 120", "xterm-256color"])
  })

  it("ends with 124 at its timeout, and its processes with it", async () => {
    const pidFile = join(workdir, "pid")
    const { stream } = open({ kind: "exec" })
    const { send, receive } = execOver(stream)
    await send({
      case: "start",
      value: {
        sandboxId: "sandbox-1",
        command: ["sh", "-c", `sleep 1000 & echo $! > ${pidFile}; wait`],
        timeoutSeconds: 1,
      },
    })
    expect(await receive()).toMatchObject({ case: "exit", value: { exitCode: 124 } })
    stream.end()
    const pid = Number(readFileSync(pidFile, "utf8"))
    await until("the process is gone", () => (existsSync(`/proc/${pid}`) ? undefined : true))
  })

  it("is not ended by a timeout longer than a timer can be", async () => {
    const { stream } = open({ kind: "exec" })
    const { send, receive } = execOver(stream)
    const command = ["sh", "-c", "read x; exit 3"]
    await send({
      case: "start",
      value: { sandboxId: "sandbox-1", command, timeoutSeconds: 0xffff_ffff, stdin: Buffer.from("go on\n") },
    })
    stream.end()
    expect(await receive()).toMatchObject({ case: "exit", value: { exitCode: 3 } })
  })

  it("is ended with all its processes when the client gives the stream up", async () => {
    const pidFile = join(workdir, "pid")
    const { stream, result } = exec({
      command: ["sh", "-c", `sleep 1000 & echo $! > ${pidFile}; wait`],
    })
    result.catch(() => undefined)
    const pid = await until("the process runs", () =>
      existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8")) || undefined : undefined,
    )
    stream.destroy()
    await until("the process is gone", () => (existsSync(`/proc/${pid}`) ? undefined : true))
  })

  it("waits for a client that does not read", async () => {
    const marker = join(workdir, "marker")
    const { stream } = open({ kind: "exec" })
    const { send, receive } = execOver(stream)
    const command = ["sh", "-c", `head -c 30000000 /dev/zero; touch ${marker}`]
    await send({ case: "start", value: { sandboxId: "sandbox-1", command } })
    await once(stream, "open")
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(existsSync(marker)).toBe(false)
    stream.end()
    let bytes = 0
    for (let event = await receive(); event !== undefined; event = await receive())
      if (event.case === "stdout") bytes += event.value.data.length
    expect(bytes).toBe(30_000_000)
    expect(existsSync(marker)).toBe(true)
  })

  it("may be as long as an exec of the wire may be", async () => {
    const words = Array.from({ length: 8 }, (_, index) => `${index}é'`.repeat(3_000))
    const { result } = exec({ command: ["sh", "-c", 'printf "%s|" "$@" | md5sum', "sh", ...words] })
    const wanted = createHash("md5")
      .update(words.map((word) => `${word}|`).join(""))
      .digest("hex")
    expect((await result).stdout.toString()).toBe(`${wanted}  -\n`)
  })

  it("is refused with the reason when the request breaks a limit of the wire", async () => {
    const { stream, result } = exec({ command: [] })
    await result.catch(() => undefined)
    expect(await stream.outcome).toMatchObject({
      _tag: "Reset",
      code: "target",
      text: "command is required",
    })
  })
})

describe("streams of a supervisor that moves its session", () => {
  it("move to the new session without a pause and leave nothing on the old connection", async () => {
    const port = await listen((socket) => socket.pipe(socket))
    const { stream, carriers } = open({ kind: "tcp", port })
    await stream.opened
    const left = new Promise((resolve) => carriers[0]?.once("close", resolve))
    const moved = once(stream, "moved")
    let suspended = false
    stream.once("suspended", () => {
      suspended = true
    })
    gateway.sessions[0]?.move()
    await moved
    await left
    stream.write("still here")
    expect(String((await once(stream, "data"))[0])).toBe("still here")
    expect([gateway.sessions.length, carriers.length, suspended]).toEqual([2, 2, false])
    stream.destroy()
  })
})

describe("streams of a supervisor that ends", () => {
  it("are reset, so that no client waits for it", async () => {
    const port = await listen((socket) => socket.write("x"))
    const { stream } = open({ kind: "tcp", port })
    await once(stream, "data")
    await stop()
    expect(await stream.outcome).toMatchObject({ _tag: "Reset", text: "the supervisor ends" })
  })
})
