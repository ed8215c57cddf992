import { createHash, randomBytes } from "node:crypto"
import { createServer, type IncomingMessage } from "node:http"
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { forward } from "../../src/client/Forward.ts"
import { limits } from "../../src/domain/Limits.ts"
import { SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { eventually } from "../kit/Until.ts"
import { startPair } from "./Fixtures.ts"

const listening = (server: Server): Effect.Effect<number, never, Scope.Scope> =>
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

const ignore = (): void => undefined

/** Connections to it are cut without ceremony when a test ends. */
const echoServer = (): Server => createTcpServer((socket) => socket.on("error", ignore).pipe(socket))

const dial = (port: number): Socket => connect({ port, host: "127.0.0.1" }).on("error", ignore)

const opened = (remotePort: number) =>
  Effect.gen(function* () {
    const { double, client } = yield* startPair
    double.add("demo")
    const sandbox = yield* client.getSandbox("demo")
    const errors: Array<unknown> = []
    const broken: Array<unknown> = []
    const { port } = yield* forward(client, {
      sandbox,
      host: "127.0.0.1",
      port: 0,
      remotePort,
      onError: (error) => errors.push(error),
      onBroken: (error) => broken.push(error),
    })
    return { double, port, errors, broken }
  })

const digestOf = (body: AsyncIterable<unknown>): Promise<string> =>
  (async () => {
    const hash = createHash("sha256")
    for await (const chunk of body) if (Buffer.isBuffer(chunk)) hash.update(chunk)
    return hash.digest("hex")
  })()

describe("forward", () => {
  it.scopedLive("carries an HTTP download and upload of 32 MiB unchanged", () =>
    Effect.gen(function* () {
      const body = randomBytes(32 * 1_048_576)
      const wanted = createHash("sha256").update(body).digest("hex")
      const web = createServer((request: IncomingMessage, response) => {
        if (request.method === "GET") response.end(body)
        else void digestOf(request).then((digest) => response.end(digest))
      })
      const { port } = yield* opened(yield* listening(web))
      const url = `http://127.0.0.1:${port}/`
      const down = yield* Effect.promise(async () =>
        createHash("sha256")
          .update(Buffer.from(await (await fetch(url)).arrayBuffer()))
          .digest("hex"),
      )
      expect(down).toBe(wanted)
      const up = yield* Effect.promise(async () => (await fetch(url, { method: "PUT", body })).text())
      expect(up).toBe(wanted)
    }),
  )

  it.scopedLive("passes a half-close on, so that an answer can follow the end of the question", () =>
    Effect.gen(function* () {
      const counting = createTcpServer({ allowHalfOpen: true }, (socket) => {
        let bytes = 0
        socket.on("data", (chunk) => {
          bytes += chunk.length
        })
        socket.on("end", () => socket.end(`got ${bytes}`))
      })
      const { port } = yield* opened(yield* listening(counting))
      const answer = yield* Effect.promise(
        () =>
          new Promise<string>((resolve, reject) => {
            const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
            let text = ""
            socket.on("data", (chunk) => {
              text += chunk.toString()
            })
            socket.on("end", () => resolve(text))
            socket.on("error", reject)
            socket.end(Buffer.alloc(1_000_000))
          }),
      )
      expect(answer).toBe("got 1000000")
    }),
  )

  it.scopedLive(
    "tells of a connection that had come about and was lost by its reset, and why to who asks",
    () =>
      Effect.gen(function* () {
        const { double, port, errors, broken } = yield* opened(yield* listening(echoServer()))
        const socket = dial(port)
        socket.write("x")
        yield* Effect.promise(() => new Promise((resolve) => socket.once("data", resolve)))
        const closed = new Promise((resolve) => socket.once("close", resolve))
        double.cut()
        yield* Effect.promise(() => closed)
        yield* Effect.promise(() => eventually("the reason", () => broken.length === 1))
        expect(broken).toMatchObject([{ _tag: "Unavailable" }])
        expect(errors).toEqual([])
      }),
  )

  it.scopedLive("shares each token among as many connections as the gateway allows", () =>
    Effect.gen(function* () {
      const echo = echoServer()
      const { double, port } = yield* opened(yield* listening(echo))
      const sockets = yield* Effect.promise(() =>
        Promise.all(
          Array.from({ length: 7 }, async () => {
            const socket = dial(port)
            socket.write("x")
            await new Promise((resolve) => socket.once("data", resolve))
            return socket
          }),
        ),
      )
      expect(double.calls.filter((name) => name === "CreateSshSession")).toHaveLength(
        Math.ceil(7 / limits.connectionsPerToken),
      )
      for (const socket of sockets) socket.destroy()
    }),
  )

  it.scopedLive("gets a new token when the old one was revoked", () =>
    Effect.gen(function* () {
      const echo = echoServer()
      const { double, port } = yield* opened(yield* listening(echo))
      const ask = () =>
        new Promise<string>((resolve, reject) => {
          const socket = dial(port)
          socket.once("data", (chunk) => {
            socket.destroy()
            resolve(chunk.toString())
          })
          socket.once("close", () => reject(new Error("closed")))
          socket.write("hello")
        })
      expect(yield* Effect.promise(ask)).toBe("hello")
      double.tokens.clear()
      expect(yield* Effect.promise(ask)).toBe("hello")
    }),
  )

  it.scopedLive("resets a connection whose target refuses, says why, and goes on listening", () =>
    Effect.gen(function* () {
      const closed = createTcpServer()
      const refusing = yield* Effect.scoped(listening(closed))
      const { port, errors } = yield* opened(refusing)
      const outcome = yield* Effect.promise(
        () =>
          new Promise<string>((resolve) => {
            const socket = dial(port)
            socket.on("error", () => resolve("reset"))
            socket.on("end", () => resolve("end"))
          }),
      )
      expect(outcome).toBe("reset")
      yield* Effect.promise(() => eventually("the error", () => errors.length === 1))
      expect(errors[0]).toMatchObject({
        _tag: "Unavailable",
        message: "supervisor relay failed: dial failed",
      })
    }),
  )

  it.scopedLive("revokes its tokens when it ends", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.add("demo")
      const echo = echoServer()
      const remotePort = yield* listening(echo)
      const sandbox = yield* client.getSandbox("demo")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { port } = yield* forward(client, { sandbox, host: "127.0.0.1", port: 0, remotePort })
          yield* Effect.promise(() => new Promise((resolve) => dial(port).on("data", resolve).write("x")))
        }),
      )
      expect(double.revoked).toHaveLength(1)
      expect(double.tokens.size).toBe(0)
    }),
  )

  it.scopedLive("fails for an address that is taken", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      double.add("demo")
      double.initialPhase = SandboxPhase.READY
      const sandbox = yield* client.getSandbox("demo")
      const taken = yield* listening(createTcpServer())
      const error = yield* Effect.flip(
        forward(client, { sandbox, host: "127.0.0.1", port: taken, remotePort: 80 }),
      )
      expect(error).toMatchObject({ _tag: "ListenFailed", code: "EADDRINUSE" })
    }),
  )
})
