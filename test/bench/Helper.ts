/** Helper processes of the benchmark: forked, asked over IPC, killed by pid when the scope closes. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Effect, Schema, type Scope } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import { gatewayNodeFlags } from "../../src/domain/NodeFlags.ts"
import { BenchError, failed } from "./BenchError.ts"
import { Listening, Reply, type Request } from "./load/Protocol.ts"

const start = (
  module: string,
  args: ReadonlyArray<string>,
  nodeFlags: ReadonlyArray<string> = [],
): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() =>
      fork(fileURLToPath(new URL(module, import.meta.url)), [...args], {
        execArgv: [...nodeFlags],
        // Out of the terminal's group: Ctrl-C reaches the benchmark, which then ends things in their order.
        detached: true,
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      }),
    ),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      }),
  )

const gone = (child: ChildProcess, what: string, fail: (error: BenchError) => void): (() => void) => {
  const onExit = (): void => fail(new BenchError({ message: `${what}: the helper process ended` }))
  const onError = (error: Error): void => fail(failed(what)(error))
  child.once("exit", onExit)
  child.once("error", onError)
  return () => {
    child.off("exit", onExit)
    child.off("error", onError)
  }
}

export interface Server {
  readonly pid: number
  readonly port: number
}

/** A process that listens on a port of its own choice and says which. */
export const server = (
  module: string,
  args: ReadonlyArray<string> = [],
): Effect.Effect<Server, BenchError, Scope.Scope> =>
  Effect.flatMap(start(module, args), (child) =>
    Effect.async<Server, BenchError>((resume) => {
      const release = gone(child, module, (error) => resume(Effect.fail(error)))
      child.once("message", (message) => {
        release()
        const { port } = Schema.decodeUnknownSync(Listening)(message)
        resume(Effect.succeed({ pid: child.pid ?? 0, port }))
      })
    }).pipe(
      Effect.timeoutFail({
        duration: 10_000,
        onTimeout: () => new BenchError({ message: `${module} does not listen` }),
      }),
    ),
  )

export interface LoadGenerator {
  readonly pid: number
  readonly ask: <A, I>(
    what: string,
    request: Request,
    reply: Schema.Schema<A, I>,
    timeoutMs?: number,
  ) => Effect.Effect<A, BenchError>
}

/** A round of a measurement takes seconds; a minute is a fault. */
const askMs = 60_000

export const loadGenerator: Effect.Effect<LoadGenerator, BenchError, Scope.Scope> = Effect.map(
  // As `holdfast forward` runs.
  start(
    "load/LoadProcess.ts",
    [],
    [...gatewayNodeFlags, `--heap-growing-percent=${limits.heapGrowthPercent}`],
  ),
  (child) => {
    let lastId = 0
    const decodeReply = Schema.decodeUnknownSync(Reply)
    return {
      pid: child.pid ?? 0,
      ask: (what, request, reply, timeoutMs = askMs) =>
        Effect.async<unknown, BenchError>((resume) => {
          lastId += 1
          const id = lastId
          const release = gone(child, what, (error) => resume(Effect.fail(error)))
          const onMessage = (message: unknown): void => {
            const answer = decodeReply(message)
            if (answer.id !== id) return
            stop()
            resume(
              answer.error === undefined
                ? Effect.succeed(answer.value)
                : Effect.fail(new BenchError({ message: `${what}: ${answer.error}` })),
            )
          }
          const stop = (): void => {
            release()
            child.off("message", onMessage)
          }
          child.on("message", onMessage)
          child.send({ id, request })
          return Effect.sync(stop)
        }).pipe(
          Effect.timeoutFail({
            duration: timeoutMs,
            onTimeout: () => new BenchError({ message: `${what}: no answer in ${timeoutMs} ms` }),
          }),
          Effect.flatMap((value) =>
            Effect.mapError(Schema.decodeUnknown(reply)(value), (error) => failed(what)(error)),
          ),
        ),
    }
  },
)
