/** One replica of a local cluster as a process that can be started, stopped, killed, frozen and started again. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync } from "node:fs"
import http from "node:http"
import { Data, Effect, Schedule } from "effect"
import { limits } from "../domain/Limits.ts"
import * as Proc from "../driver/Proc.ts"
import { openLog, tailOfLog } from "./LogFile.ts"

export class ReplicaError extends Data.TaggedError("ReplicaError")<{ readonly message: string }> {}

export interface ReplicaExit {
  readonly name: string
  readonly pid: number
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly logFile: string
  /** It was told to end by whoever started it. */
  readonly expected: boolean
}

export interface ReplicaOptions {
  readonly name: string
  readonly command: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string>>
  readonly logFile: string
  readonly readyUrl: string
  readonly onExit: (exit: ReplicaExit) => void
}

export interface ReplicaProcess {
  readonly name: string
  /** undefined while it does not run. */
  readonly identity: () => Proc.ProcessIdentity | undefined
  /** Starts it; a running one is left alone. */
  readonly launch: Effect.Effect<void, ReplicaError>
  /** Waits until it is ready; fails when it ends before. */
  readonly ready: Effect.Effect<void, ReplicaError>
  /** TERM, and KILL when that takes too long; returns when it is gone. */
  readonly stop: Effect.Effect<void>
  /** KILL; returns when it is gone. */
  readonly kill: Effect.Effect<void>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

const isReady = (url: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const request = http.get(url, { agent: false, timeout: limits.readinessTimeoutMs }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode === 200))
    })
    request.once("timeout", () => request.destroy(new Error("timeout")))
    request.once("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => request.destroy())
  })

export const make = (options: ReplicaOptions): ReplicaProcess => {
  const { name, logFile } = options
  let child: ChildProcess | undefined
  let identity: Proc.ProcessIdentity | undefined
  let expected = false

  const spawned = Effect.async<void, ReplicaError>((resume) => {
    const [program = process.execPath, ...args] = options.command
    const log = openLog(logFile)
    const started = spawn(program, args, {
      // Out of the terminal's group: Ctrl-C reaches `up`, which then stops things in their order.
      detached: true,
      env: options.environment,
      stdio: ["ignore", log, log],
    })
    closeSync(log)
    started.once("error", (error) =>
      resume(new ReplicaError({ message: `${name} does not start: ${error.message}` })),
    )
    started.once("spawn", () => {
      child = started
      identity = Proc.identify(started.pid ?? 0)
      expected = false
      resume(Effect.void)
    })
    started.once("exit", (code, signal) => {
      if (child === started) {
        child = undefined
        identity = undefined
      }
      options.onExit({ name, pid: started.pid ?? 0, code, signal, logFile, expected })
    })
  })

  const ready = Effect.suspend(() =>
    child === undefined
      ? new ReplicaError({
          message: `${name} ended during its start; the end of its log (${logFile}):\n${tailOfLog(logFile)}`,
        })
      : isReady(options.readyUrl),
  ).pipe(
    Effect.repeat({ until: (ready) => ready, schedule: Schedule.spaced(limits.replicaReadyPollMs) }),
    Effect.timeoutFail({
      duration: limits.replicaReadyMs,
      onTimeout: () =>
        new ReplicaError({
          message: `${name} was not ready after ${limits.replicaReadyMs / 1_000} s; the end of its log (${logFile}):\n${tailOfLog(logFile)}`,
        }),
    }),
    Effect.asVoid,
  )

  const end = (signals: ReadonlyArray<NodeJS.Signals>, graceMs: number) =>
    Effect.suspend(() => {
      const target = identity
      if (target === undefined) return Effect.void
      expected = true
      for (const signal of signals) Proc.signal(target, signal)
      return Proc.waitForEnd([target], graceMs).pipe(
        Effect.tap((gone) => {
          if (!gone) Proc.signal(target, "SIGKILL")
        }),
        Effect.zipRight(Proc.waitForEnd([target], limits.driverKillTimeoutMs)),
        Effect.asVoid,
      )
    })
  const send = (signal: NodeJS.Signals) =>
    Effect.sync(() => {
      if (identity !== undefined) Proc.signal(identity, signal)
    })

  return {
    name,
    identity: () => identity,
    // The exit event of a process that just ended may still be on its way.
    launch: Effect.suspend(() =>
      identity !== undefined && Proc.isAlive(identity) ? Effect.void : spawned,
    ).pipe(Effect.uninterruptible),
    ready,
    // A frozen process takes no signal but KILL and CONT.
    stop: end(["SIGTERM", "SIGCONT"], limits.replicaStopMs),
    kill: end(["SIGKILL"], 0),
    freeze: send("SIGSTOP"),
    thaw: send("SIGCONT"),
  }
}
