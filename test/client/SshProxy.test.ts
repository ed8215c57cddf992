import { type AddressInfo, createServer, type Server } from "node:net"
import { PassThrough } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { sshProxy } from "../../src/client/SshProxy.ts"
import { SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { Collector, startPair } from "./Fixtures.ts"

/** Stands for the sandbox's SSH server: greets, echoes, says goodbye at the end of input. */
const sshServer: Effect.Effect<number, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Server>((resolve) => {
          const server = createServer({ allowHalfOpen: true }, (socket) => {
            socket.write("SSH-2.0-test\r\n")
            socket.on("error", () => undefined)
            socket.on("data", (chunk) => socket.write(chunk))
            socket.on("end", () => socket.end("bye"))
          }).listen(0, "127.0.0.1", () => resolve(server))
        }),
    ),
    (server) => Effect.sync(() => server.close()),
  ),
  (server) => {
    const address = server.address() as AddressInfo
    return address.port
  },
)

describe("ssh-proxy", () => {
  it.scopedLive("connects two byte streams to the sandbox's SSH server and revokes its token", () =>
    Effect.gen(function* () {
      const { double } = yield* startPair
      double.add("demo")
      double.sshPort = yield* sshServer
      const input = new PassThrough()
      const output = new Collector()
      input.end(Buffer.alloc(1_000_000, "x"))
      yield* Effect.promise(() =>
        sshProxy({ endpoint: { url: double.url }, workspace: "default", sandbox: "demo", input, output }),
      )
      expect(output.text.startsWith("SSH-2.0-test\r\nxxx")).toBe(true)
      expect(output.text.endsWith("xbye")).toBe(true)
      expect(output.bytes.length).toBe(14 + 1_000_000 + 3)
      expect(double.calls).toEqual(["GetSandbox", "CreateSshSession", "ForwardTcp", "RevokeSshSession"])
      expect(double.tokens.size).toBe(0)
    }),
  )

  it.scopedLive("fails with the gateway's text when the sandbox is not ready", () =>
    Effect.gen(function* () {
      const { double } = yield* startPair
      double.setPhase(double.add("demo"), SandboxPhase.STOPPED)
      const error = yield* Effect.flip(
        Effect.tryPromise({
          try: () =>
            sshProxy({
              endpoint: { url: double.url },
              workspace: "default",
              sandbox: "demo",
              input: new PassThrough(),
              output: new Collector(),
            }),
          catch: (cause) => cause,
        }),
      )
      expect(error).toMatchObject({ _tag: "GrpcError", message: "sandbox is not ready" })
    }),
  )
})
