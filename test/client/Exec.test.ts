import { PassThrough, Readable } from "node:stream"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { exec, type TerminalSize } from "../../src/client/Exec.ts"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { eventually } from "../kit/Until.ts"
import { Collector, startPair } from "./Fixtures.ts"

const streams = () => ({ stdout: new Collector(), stderr: new Collector() })

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("exec", () => {
  it.scopedLive("returns the command's exit code and keeps stdout and stderr apart", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      const io = streams()
      const command = ["bash", "-c", 'echo out; echo "err $WHO" >&2; exit 7']
      const code = yield* exec(client, { sandboxId: id, command, environment: { WHO: "it's me" } }, io)
      expect(code).toBe(7)
      expect(io.stdout.text).toBe("out\n")
      expect(io.stderr.text).toBe("err it's me\n")
      expect(double.calls).toContain("ExecSandbox")
    }),
  )

  it.scopedLive("passes any amount of input on and its end as the command's end of input", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      const io = streams()
      const input = Buffer.alloc(3_000_000, "0123456789\n")
      const stdin = Readable.from([input.subarray(0, 2_500_000), input.subarray(2_500_000)])
      const code = yield* exec(client, { sandboxId: id, command: ["cat"] }, { ...io, stdin })
      expect(code).toBe(0)
      expect(io.stdout.bytes.equals(input)).toBe(true)
    }),
  )

  it.scopedLive("ends with the command although input is still open", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      const io = streams()
      const code = yield* exec(
        client,
        { sandboxId: id, command: ["bash", "-c", "read line; exit 3"] },
        {
          ...io,
          stdin: Readable.from(
            (async function* () {
              yield Buffer.from("go\n")
              await new Promise(() => undefined)
            })(),
          ),
        },
      )
      expect(code).toBe(3)
    }),
  )

  it.scopedLive("gives a terminal of the asked size and tells the command of changes", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      const io = streams()
      const stdin = new PassThrough()
      let resize: ((size: TerminalSize) => void) | undefined
      const running = yield* Effect.fork(
        exec(
          client,
          {
            sandboxId: id,
            command: [
              "bash",
              "-c",
              "trap 'stty size; exit 5' WINCH; stty size; while :; do read -t 1 x; done",
            ],
            terminal: { columns: 111, rows: 33 },
          },
          {
            ...io,
            stdin,
            onResize: (listener) => {
              resize = listener
              return () => undefined
            },
          },
        ),
      )
      yield* Effect.promise(() => eventually("the first size", () => io.stdout.text.includes("33 111")))
      resize?.({ columns: 99, rows: 22 })
      expect(yield* Fiber.join(running)).toBe(5)
      expect(io.stdout.text).toContain("22 99")
    }),
  )

  it.scopedLive("kills the command when it is interrupted", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      const io = streams()
      const command = ["bash", "-c", "echo $$; sleep 600"]
      const running = yield* Effect.fork(exec(client, { sandboxId: id, command }, io))
      yield* Effect.promise(() => eventually("the command to start", () => io.stdout.text.endsWith("\n")))
      const pid = Number(io.stdout.text)
      expect(isAlive(pid)).toBe(true)
      yield* Fiber.interrupt(running)
      yield* Effect.promise(() => eventually("the command to be killed", () => !isAlive(pid)))
    }),
  )

  it.scopedLive("fails with the gateway's refusal", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const sandbox = double.add("demo")
      double.setPhase(sandbox, SandboxPhase.STOPPED)
      const error = yield* Effect.flip(exec(client, { sandboxId: sandbox.id, command: ["true"] }, streams()))
      expect(error).toMatchObject({ _tag: "FailedPrecondition", message: "sandbox is not ready" })
    }),
  )

  it.scopedLive("fails when the stream ends without an exit code", () =>
    Effect.gen(function* () {
      const { double, client } = yield* startPair
      const { id } = double.add("demo")
      double.failures.set("ExecSandbox", grpcError(Status.UNAVAILABLE, "relay channel dropped"))
      const error = yield* Effect.flip(exec(client, { sandboxId: id, command: ["true"] }, streams()))
      expect(error).toMatchObject({ _tag: "Unavailable", message: "relay channel dropped" })
    }),
  )
})
