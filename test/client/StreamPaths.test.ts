/** Exec, forward, ssh-proxy and transfers over resumable streams, while replicas are lost. */
import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PassThrough, Readable } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { exec, type TerminalSize } from "../../src/client/Exec.ts"
import { forward } from "../../src/client/Forward.ts"
import { sshProxy } from "../../src/client/SshProxy.ts"
import { download, upload } from "../../src/client/Transfer.ts"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { eventually } from "../kit/Until.ts"
import { FarEnd } from "./FarEnd.ts"
import { Collector, startPair } from "./Fixtures.ts"

/** A client and a replica whose sandbox takes resumable streams. */
const startStreams = (sshPort = 0) =>
  Effect.gen(function* () {
    const { double, client } = yield* startPair
    const sandbox = double.add("demo")
    const farEnd = new FarEnd({ home: sandbox.home, sshPort })
    double.farEnd = farEnd
    yield* Effect.addFinalizer(() => Effect.sync(() => farEnd.server.close("the test is over")))
    return { double, client, sandbox, farEnd }
  })

const listening = (server: ReturnType<typeof createTcpServer>): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => {
            const address = server.address() as AddressInfo
            resolve(address.port)
          })
        }),
    ),
    () => Effect.sync(() => server.close()),
  )

const streams = () => ({ stdout: new Collector(), stderr: new Collector() })
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("exec over a stream", () => {
  it.scopedLive("passes output, errors and the exit code, and asks for no call of OpenShell's", () =>
    Effect.gen(function* () {
      const { double, client, sandbox, farEnd } = yield* startStreams()
      const io = streams()
      const command = ["bash", "-c", 'echo out; echo "err $WHO" >&2; exit 7']
      const request = { sandboxId: sandbox.id, command, environment: { WHO: "it's me" } }
      expect(yield* exec(client, request, io)).toBe(7)
      expect(io.stdout.text).toBe("out\n")
      expect(io.stderr.text).toBe("err it's me\n")
      expect(double.calls).toEqual(["ForwardTcp"])
      expect(farEnd.streams).toEqual(["exec "])
      expect(farEnd.server.size).toBe(0)
    }),
  )

  it.scopedLive("passes input and output on unchanged through cuts", () =>
    Effect.gen(function* () {
      const { double, client, sandbox, farEnd } = yield* startStreams()
      const io = streams()
      const input = randomBytes(6_000_000)
      let cuts = 0
      const cutting = setInterval(() => {
        if (io.stdout.bytes.length <= cuts * 1_000_000) return
        cuts += 1
        double.cut()
      }, 5)
      const stdin = Readable.from(
        Array.from({ length: 60 }, (_, index) => input.subarray(index * 100_000, (index + 1) * 100_000)),
      )
      const code = yield* exec(client, { sandboxId: sandbox.id, command: ["cat"] }, { ...io, stdin })
      clearInterval(cutting)
      expect(code).toBe(0)
      expect(sha256(io.stdout.bytes)).toBe(sha256(input))
      expect(cuts).toBeGreaterThan(1)
      expect(farEnd.streams).toHaveLength(1)
      expect(farEnd.carriers.length).toBeGreaterThan(1)
    }),
  )

  it.scopedLive("keeps a terminal and its size through a cut", () =>
    Effect.gen(function* () {
      const { double, client, sandbox } = yield* startStreams()
      const io = streams()
      let resize: ((size: TerminalSize) => void) | undefined
      const running = yield* Effect.fork(
        exec(
          client,
          {
            sandboxId: sandbox.id,
            command: [
              "bash",
              "-c",
              "stty size; trap 'stty size; exit 5' WINCH; while :; do read -t 1 x; done",
            ],
            terminal: { columns: 111, rows: 33 },
          },
          {
            ...io,
            stdin: new PassThrough(),
            onResize: (listener) => {
              resize = listener
              return () => undefined
            },
          },
        ),
      )
      yield* Effect.promise(() => eventually("the first size", () => io.stdout.text.includes("33 111")))
      double.cut()
      resize?.({ columns: 99, rows: 22 })
      expect(yield* Fiber.join(running)).toBe(5)
      expect(io.stdout.text).toContain("22 99")
    }),
  )

  it.scopedLive("ends with the command although input is still open", () =>
    Effect.gen(function* () {
      const { client, sandbox, farEnd } = yield* startStreams()
      const stdin = new PassThrough()
      stdin.write("go\n")
      const command = ["bash", "-c", "read line; exit 3"]
      expect(yield* exec(client, { sandboxId: sandbox.id, command }, { ...streams(), stdin })).toBe(3)
      expect(farEnd.server.size).toBe(0)
    }),
  )

  it.scopedLive("kills the command when it is interrupted", () =>
    Effect.gen(function* () {
      const { client, sandbox, farEnd } = yield* startStreams()
      const io = streams()
      const command = ["bash", "-c", "echo $$; sleep 600"]
      const running = yield* Effect.fork(exec(client, { sandboxId: sandbox.id, command }, io))
      yield* Effect.promise(() => eventually("the command to start", () => io.stdout.text.endsWith("\n")))
      const pid = Number(io.stdout.text)
      expect(isAlive(pid)).toBe(true)
      yield* Fiber.interrupt(running)
      expect(farEnd.server.size).toBe(0)
      yield* Effect.promise(() => eventually("the command to be killed", () => !isAlive(pid)))
    }),
  )

  it.scopedLive("fails with InvalidArgument when the sandbox does not take the request", () =>
    Effect.gen(function* () {
      const { client, sandbox } = yield* startStreams()
      const request = { sandboxId: sandbox.id, command: ["two\nlines"] }
      const error = yield* Effect.flip(exec(client, request, streams()))
      expect(error).toMatchObject({
        _tag: "InvalidArgument",
        message: "command argument contains newline or carriage return characters",
      })
    }),
  )

  it.scopedLive("fails with StreamLost, not with an exit code, when the sandbox's process is gone", () =>
    Effect.gen(function* () {
      const { double, client, sandbox } = yield* startStreams()
      const io = streams()
      const command = ["bash", "-c", "echo on; sleep 600"]
      const running = yield* Effect.fork(exec(client, { sandboxId: sandbox.id, command }, io))
      yield* Effect.promise(() => eventually("output", () => io.stdout.text === "on\n"))
      // Another supervisor: it knows nothing of the stream.
      double.farEnd = new FarEnd({ home: sandbox.home })
      double.cut()
      const error = yield* Effect.flip(Fiber.join(running))
      expect(error).toMatchObject({ _tag: "StreamLost", message: expect.stringContaining("no such stream") })
    }),
  )

  it.scopedLive("falls back to OpenShell's calls where the gateway or the sandbox does not take it", () =>
    Effect.gen(function* () {
      const { double, client, sandbox, farEnd } = yield* startStreams()
      const run = (stdin?: Readable) => {
        double.calls.length = 0
        const io = streams()
        return Effect.map(
          exec(client, { sandboxId: sandbox.id, command: ["cat"] }, { ...io, stdin }),
          (code) => ({ code, text: io.stdout.text, calls: [...double.calls] }),
        )
      }
      for (const code of [Status.FAILED_PRECONDITION, Status.UNAUTHENTICATED, Status.INVALID_ARGUMENT]) {
        double.failures.set("ForwardTcp", grpcError(code, "not this way"))
        expect(yield* run()).toEqual({ code: 0, text: "", calls: ["ForwardTcp", "ExecSandbox"] })
      }
      double.failures.clear()
      farEnd.plain = true
      expect(yield* run(Readable.from([Buffer.from("hello")]))).toEqual({
        code: 0,
        text: "hello",
        calls: ["ForwardTcp", "ExecSandboxInteractive"],
      })
    }),
  )
})

describe("forward over streams", () => {
  const opened = (remotePort: number) =>
    Effect.gen(function* () {
      const started = yield* startStreams()
      const errors: Array<unknown> = []
      const { port } = yield* forward(started.client, {
        sandbox: yield* started.client.getSandbox("demo"),
        host: "127.0.0.1",
        port: 0,
        remotePort,
        onError: (error) => errors.push(error),
      })
      return { ...started, port, errors }
    })

  it.scopedLive("goes on with an HTTP download whose replica is lost", () =>
    Effect.gen(function* () {
      const body = randomBytes(8_000_000)
      const half = Promise.withResolvers<void>()
      const web = createServer((_request, response) => {
        response.write(body.subarray(0, 4_000_000))
        void half.promise.then(() => response.end(body.subarray(4_000_000)))
      })
      const { double, farEnd, port, errors } = yield* opened(yield* listening(web))
      const received = yield* Effect.promise(async () => {
        const chunks: Array<Uint8Array> = []
        let bytes = 0
        const { body: content } = await fetch(`http://127.0.0.1:${port}/`)
        for await (const chunk of content ?? []) {
          chunks.push(chunk)
          bytes += chunk.length
          if (bytes === 4_000_000) {
            double.cut()
            half.resolve()
          }
        }
        return Buffer.concat(chunks)
      })
      expect(sha256(received)).toBe(sha256(body))
      expect(farEnd.carriers.length).toBeGreaterThan(1)
      expect(errors).toEqual([])
    }),
  )

  it.scopedLive("resets a connection whose target refuses, says why, and gives its place back", () =>
    Effect.gen(function* () {
      const remotePort = yield* Effect.scoped(listening(createTcpServer()))
      const { double, port, errors } = yield* opened(remotePort)
      const outcome = yield* Effect.promise(
        () =>
          new Promise<string>((resolve) => {
            const socket = connect({ port, host: "127.0.0.1" })
            socket.on("error", () => resolve("reset"))
            socket.on("end", () => resolve("end"))
          }),
      )
      expect(outcome).toBe("reset")
      yield* Effect.promise(() => eventually("the error", () => errors.length === 1))
      expect(errors[0]).toMatchObject({ _tag: "StreamRefused", message: "dial failed" })
      expect(double.calls.filter((name) => name === "CreateSshSession")).toHaveLength(1)
    }),
  )

  it.scopedLive("resets the local connection when the target resets its own, without words", () =>
    Effect.gen(function* () {
      const cruel = createTcpServer((socket) => socket.once("data", () => socket.resetAndDestroy()))
      const { port, errors } = yield* opened(yield* listening(cruel))
      const outcome = yield* Effect.promise(
        () =>
          new Promise<string>((resolve) => {
            const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("x"))
            socket.on("error", () => resolve("reset"))
            socket.on("end", () => resolve("end"))
          }),
      )
      expect(outcome).toBe("reset")
      expect(errors).toEqual([])
    }),
  )

  it.scopedLive("tells the sandbox of connections that are open when it ends", () =>
    Effect.gen(function* () {
      const { client, farEnd } = yield* startStreams()
      const quiet = yield* listening(createTcpServer((socket) => socket.on("error", () => undefined)))
      const sandbox = yield* client.getSandbox("demo")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { port } = yield* forward(client, { sandbox, host: "127.0.0.1", port: 0, remotePort: quiet })
          connect({ port, host: "127.0.0.1" }).on("error", () => undefined)
          yield* Effect.promise(() => eventually("the stream", () => farEnd.server.size === 1))
        }),
      )
      expect(farEnd.server.size).toBe(0)
    }),
  )
})

describe("ssh-proxy over a stream", () => {
  it.scopedLive("goes on through cuts and revokes its token", () =>
    Effect.gen(function* () {
      const echo = createTcpServer({ allowHalfOpen: true }, (socket) => {
        socket.on("error", () => undefined)
        socket.pipe(socket)
      })
      const { double, farEnd } = yield* startStreams(yield* listening(echo))
      const input = new PassThrough()
      const output = new Collector()
      const endpoint = { url: double.url }
      const running = sshProxy({ endpoint, workspace: "default", sandbox: "demo", input, output })
      const payload = randomBytes(3_000_000)
      for (const [index, part] of [payload.subarray(0, 1_000_000), payload.subarray(1_000_000)].entries()) {
        input.write(part)
        yield* Effect.promise(() =>
          eventually("the echo", () => output.bytes.length === (index === 0 ? 1_000_000 : 3_000_000)),
        )
        double.cut()
      }
      input.end()
      yield* Effect.promise(() => running)
      expect(sha256(output.bytes)).toBe(sha256(payload))
      expect(farEnd.streams).toEqual(["ssh "])
      expect(farEnd.carriers.length).toBeGreaterThan(1)
      expect(double.tokens.size).toBe(0)
      expect(farEnd.server.size).toBe(0)
    }),
  )
})

describe("ssh-proxy whose stream breaks for good", () => {
  it.scopedLive("says why", () =>
    Effect.gen(function* () {
      const echo = createTcpServer((socket) => {
        socket.on("error", () => undefined)
        socket.pipe(socket)
      })
      const { double, farEnd } = yield* startStreams(yield* listening(echo))
      const input = new PassThrough()
      const output = new Collector()
      const endpoint = { url: double.url }
      const running = sshProxy({ endpoint, workspace: "default", sandbox: "demo", input, output })
      const failing = Effect.flip(Effect.tryPromise({ try: () => running, catch: (cause) => cause }))
      input.write("hello")
      yield* Effect.promise(() => eventually("the echo", () => output.text === "hello"))
      farEnd.server.close("the sandbox is stopping")
      expect(yield* failing).toMatchObject({ _tag: "StreamReset", message: "the sandbox is stopping" })
      expect(double.tokens.size).toBe(0)
    }),
  )
})

describe("transfers over a stream", () => {
  it.scopedLive("are exact through cuts", () =>
    Effect.gen(function* () {
      const { double, client, sandbox, farEnd } = yield* startStreams()
      const folder = mkdtempSync(join(tmpdir(), "holdfast-paths-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
      const content = randomBytes(12_000_000)
      const local = join(folder, "there")
      writeFileSync(local, content)
      let cuts = 0
      const onBytes = (bytes: number): void => {
        if (bytes <= (cuts % 3) * 3_000_000) return
        cuts += 1
        double.cut()
      }
      yield* upload(client, { sandboxId: sandbox.id, local, remote: "there", onBytes })
      expect(sha256(readFileSync(join(sandbox.home, "there")))).toBe(sha256(content))
      yield* download(client, {
        sandboxId: sandbox.id,
        remote: "there",
        local: join(folder, "back"),
        onBytes,
      })
      expect(sha256(readFileSync(join(folder, "back")))).toBe(sha256(content))
      expect(farEnd.streams).toEqual(["exec ", "exec "])
      expect(farEnd.carriers.length).toBeGreaterThan(4)
    }),
  )
})
