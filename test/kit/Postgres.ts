/** A real Postgres for tests: one server per test file, one cluster id (so one schema) per test. */
import { randomBytes } from "node:crypto"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import pg from "pg"
import * as Proc from "../../src/driver/Proc.ts"
import * as EmbeddedPostgres from "../../src/local/EmbeddedPostgres.ts"

export interface TestPostgres {
  /** Stays the same over restarts. */
  readonly url: string
  readonly port: number
  /** Process id of the running server; it changes with a restart. */
  readonly pid: () => number
  /** Shuts the server down; connections break. Data stays. */
  readonly stop: () => Promise<void>
  /** Starts it again, or stops and starts it. */
  readonly restart: () => Promise<void>
  /** SIGSTOP to the server and all its backends: connections stay open and nothing answers. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** One statement on a connection of its own, with parameters. */
  readonly query: (text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<pg.QueryResultRow>>
  /** Stops the server and removes its data. */
  readonly dispose: () => Promise<void>
}

/** A port nobody listens on at this moment. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        address === null || typeof address === "string"
          ? reject(new Error("no port"))
          : resolve(address.port),
      )
    })
  })

/** A cluster id that no other test uses. */
export const freshClusterId = (): string => `test-${randomBytes(6).toString("hex")}`

const run = <A>(effect: Effect.Effect<A, EmbeddedPostgres.EmbeddedPostgresError>): Promise<A> =>
  Effect.runPromise(effect)

export const startPostgres = async (): Promise<TestPostgres> => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-test-pg-"))
  // The server runs as another account than root and must be able to enter.
  chmodSync(directory, 0o711)
  const port = await freePort()
  const options = {
    dataDir: join(directory, "postgres"),
    port,
    logFile: join(directory, "postgres.log"),
    durability: "none",
  } as const

  let scope: Scope.CloseableScope | undefined
  let server: EmbeddedPostgres.EmbeddedPostgres | undefined
  const start = async (): Promise<EmbeddedPostgres.EmbeddedPostgres> => {
    const fresh = Effect.runSync(Scope.make())
    const started = await run(Scope.extend(EmbeddedPostgres.start(options), fresh))
    scope = fresh
    server = started
    return started
  }
  const stop = async () => {
    if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
    scope = undefined
    server = undefined
  }
  const { url } = await start()

  const pid = () => {
    if (server === undefined) throw new Error("the test Postgres is stopped")
    return server.pid
  }
  const signalAll = (signal: NodeJS.Signals) => {
    const postmaster = Proc.identify(pid())
    if (postmaster === undefined) return
    // The postmaster first when freezing, so that it starts no further backend.
    const family = Proc.family(postmaster)
    for (const member of [postmaster, ...family]) Proc.signal(member, signal)
  }

  return {
    url,
    port,
    pid,
    stop,
    restart: async () => {
      await stop()
      await start()
    },
    freeze: () => signalAll("SIGSTOP"),
    thaw: () => signalAll("SIGCONT"),
    query: async (text, values = []) => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        return (await client.query(text, [...values])).rows
      } finally {
        await client.end()
      }
    },
    dispose: async () => {
      if (server !== undefined) signalAll("SIGCONT")
      await stop()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
