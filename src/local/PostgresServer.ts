/** The server process of an embedded Postgres: its start, its readiness, and its end. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, readFileSync } from "node:fs"
import { readFile, rm } from "node:fs/promises"
import path from "node:path"
import { Data, Effect, Schedule, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import * as Proc from "../driver/Proc.ts"
import { openLog, tailOfLog } from "./LogFile.ts"
import type { PostgresHome } from "./PostgresHome.ts"

/** The message says what failed and what to do; it may quote the end of the server's log. */
export class EmbeddedPostgresError extends Data.TaggedError("EmbeddedPostgresError")<{
  readonly message: string
}> {}

export interface ServerOptions {
  readonly port: number
  readonly logFile: string
  /** `none` switches fsync off, for tests whose data may be lost with the machine's power. Default `full`. */
  readonly durability?: "full" | "none"
}

const fail = (message: string) => new EmbeddedPostgresError({ message })

/** Ends a server that a killed `up` left behind, and removes its pid file when it names nobody or a stranger. */
export const clearLeftover = (data: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const pidFile = path.join(data, "postmaster.pid")
    const text = yield* Effect.promise(() => readFile(pidFile, "utf8").catch(() => ""))
    if (text === "") return
    const server = Proc.identify(Number(text.split("\n")[0]))
    const isOurs =
      server !== undefined &&
      Proc.workingDirectory(server.pid) === data &&
      (Proc.commandLine(server.pid)[0] ?? "").endsWith("postgres")
    if (server !== undefined && isOurs) yield* endServer(server)
    yield* Effect.promise(() => rm(pidFile, { force: true }))
  })

/** Fast shutdown, then immediate shutdown, then KILL of all its processes. */
const endServer = (server: Proc.ProcessIdentity): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const name of ["SIGINT", "SIGQUIT"] as const) {
      Proc.signal(server, name)
      if (yield* Proc.waitForEnd([server], limits.postgresStopMs)) return
    }
    for (const member of Proc.family(server)) Proc.signal(member, "SIGKILL")
  })

const settings = (options: ServerOptions): ReadonlyArray<string> => {
  const values = {
    listen_addresses: "127.0.0.1",
    port: options.port,
    unix_socket_directories: "",
    max_connections: limits.postgresConnections,
    // One server, no standbys: no need to write what only they would read.
    wal_level: "minimal",
    max_wal_senders: 0,
    log_checkpoints: "off",
    log_line_prefix: "%m [%p] ",
    jit: "off",
    ...(options.durability === "none"
      ? { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }
      : {}),
  }
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`])
}

const launch = (options: ServerOptions, place: PostgresHome): ChildProcess => {
  const log = openLog(options.logFile)
  try {
    return spawn(
      path.join(place.bin, "postgres"),
      ["-D", path.join(place.home, "data"), ...settings(options)],
      {
        // A session of its own: Ctrl-C in the terminal must not end it before the replicas have stopped.
        detached: true,
        cwd: "/",
        env: { PATH: "/usr/bin:/bin", LC_ALL: "C" },
        stdio: ["ignore", log, log],
        ...place.account,
      },
    )
  } finally {
    closeSync(log)
  }
}

/** Line 8 of postmaster.pid says `ready` once connections are accepted. */
const isReady = (data: string, pid: number): boolean => {
  try {
    const lines = readFileSync(path.join(data, "postmaster.pid"), "utf8").split("\n")
    return lines[0] === String(pid) && lines[7]?.trim() === "ready"
  } catch {
    return false
  }
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

export const exitOf = (child: ChildProcess) =>
  Effect.async<{ code: number | null; signal: NodeJS.Signals | null }>((resume) => {
    const done = () => resume(Effect.succeed({ code: child.exitCode, signal: child.signalCode }))
    if (hasEnded(child)) return done()
    child.once("exit", done)
    return Effect.sync(() => child.off("exit", done))
  })

const stop = (child: ChildProcess): Effect.Effect<void> =>
  Effect.suspend(() => {
    const server = hasEnded(child) || child.pid === undefined ? undefined : Proc.identify(child.pid)
    return server === undefined ? Effect.void : endServer(server)
  })

/** One server process that accepts connections, or an error that quotes its log. */
export const startServer = (
  options: ServerOptions,
  place: PostgresHome,
): Effect.Effect<ChildProcess, EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.async<ChildProcess, EmbeddedPostgresError>((resume) => {
        const started = launch(options, place)
        started.once("spawn", () => resume(Effect.succeed(started)))
        started.once("error", (error) =>
          resume(Effect.fail(fail(`Postgres does not start: ${error.message}`))),
        )
      }),
      stop,
    )
    const data = path.join(place.home, "data")
    const ready = Effect.sync(() => hasEnded(child) || isReady(data, child.pid ?? 0)).pipe(
      Effect.repeat({ until: (done) => done, schedule: Schedule.spaced(20) }),
      Effect.timeoutFail({
        duration: limits.postgresStartMs,
        onTimeout: () => fail(`Postgres was not ready in time; its log is ${options.logFile}`),
      }),
    )
    yield* ready
    if (hasEnded(child)) {
      return yield* fail(
        `Postgres ended during its start (its log is ${options.logFile}):\n${tailOfLog(options.logFile)}`,
      )
    }
    return child
  })
