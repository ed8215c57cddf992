import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises"
import net from "node:net"
import { tmpdir } from "node:os"
import path from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import pg from "pg"
import * as EmbeddedPostgres from "../../src/local/EmbeddedPostgres.ts"
import { freePort, listenAnywhere } from "./Ports.ts"

const query = async (url: string, text: string): Promise<ReadonlyArray<Record<string, unknown>>> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}

describe("EmbeddedPostgres", { timeout: 60_000 }, () => {
  let directory = ""
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "holdfast-pg-"))
    // mkdtemp makes private directories; the account that Postgres runs as must get in.
    await chmod(directory, 0o755)
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  const options = async (port?: number) => ({
    dataDir: path.join(directory, "postgres"),
    port: port ?? (await freePort()),
    logFile: path.join(directory, "postgres.log"),
  })

  it("keeps its data from one start to the next and runs in a process group of its own", async () => {
    const settings = await options()
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const first = yield* EmbeddedPostgres.start(settings)
          const stat = yield* Effect.promise(() => readFile(`/proc/${first.pid}/stat`, "utf8"))
          expect(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]).toBe(String(first.pid))
          yield* Effect.promise(() => query(first.url, "create table kept as select 42 as answer"))
          const fsync = yield* Effect.promise(() => query(first.url, "show fsync"))
          expect(fsync).toEqual([{ fsync: "on" }])
        }),
      ),
    )
    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const second = yield* EmbeddedPostgres.start(settings)
          expect(yield* Effect.promise(() => query(second.url, "select answer from kept"))).toEqual([
            { answer: 42 },
          ])
          const wrong = second.url.replace(/:[0-9a-f]{48}@/, ":wrong@")
          yield* Effect.promise(() => expect(query(wrong, "select 1")).rejects.toThrow(/password/))
        }),
      ),
    )
  })

  it("starts again after it was killed, and reports its end", async () => {
    const settings = await options()
    const first = await Effect.runPromise(Scope.make())
    const server = await Effect.runPromise(EmbeddedPostgres.start(settings).pipe(Scope.extend(first)))
    await query(server.url, "create table kept as select 1 as one")
    process.kill(server.pid, "SIGKILL")
    expect(await Effect.runPromise(server.exited)).toEqual({ code: null, signal: "SIGKILL" })
    await Effect.runPromise(Scope.close(first, Exit.void))
    await stat(path.join(settings.dataDir, "data/postmaster.pid"))

    await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const second = yield* EmbeddedPostgres.start(settings)
          expect(yield* Effect.promise(() => query(second.url, "select one from kept"))).toEqual([{ one: 1 }])
        }),
      ),
    )
  })

  it("refuses a second start on a data directory in use", async () => {
    const settings = await options()
    const error = await Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          yield* EmbeddedPostgres.start(settings)
          return yield* Effect.flip(EmbeddedPostgres.start({ ...settings, port: settings.port + 1 }))
        }),
      ),
    )
    expect(error.message).toContain("another process runs a Postgres in")
  })

  it("says which port is taken when it cannot listen", async () => {
    const blocker = net.createServer()
    const port = await listenAnywhere(blocker)
    const settings = await options(port)
    const error = await Effect.runPromise(Effect.scoped(Effect.flip(EmbeddedPostgres.start(settings))))
    expect(error.message).toContain(`port ${port}`)
    await new Promise((resolve) => blocker.close(resolve))
  })

  it.runIf(process.getuid?.() === 0)(
    "keeps its data elsewhere when its account cannot enter the state directory",
    async () => {
      await chmod(directory, 0o700)
      const settings = await options()
      const home = () => readFile(path.join(settings.dataDir, "location"), "utf8")
      const once = Effect.scoped(
        EmbeddedPostgres.start(settings).pipe(
          Effect.flatMap((server) =>
            Effect.promise(() =>
              query(server.url, "create table if not exists kept(); select count(*) from kept"),
            ),
          ),
        ),
      )
      await Effect.runPromise(once)
      const first = (await home()).trim()
      await Effect.runPromise(once)
      expect((await home()).trim()).toBe(first)
      expect(first).toMatch(/^\/var\/lib\/holdfast\/postgres-/)
      await rm(first, { recursive: true })
    },
  )
})
