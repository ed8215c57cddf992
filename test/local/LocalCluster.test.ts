import { spawn } from "node:child_process"
import { chmod, mkdtemp, readFile, rm, stat } from "node:fs/promises"
import net from "node:net"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, Schedule } from "effect"
import { Driver } from "../../src/driver/Driver.ts"
import * as Proc from "../../src/driver/Proc.ts"
import * as ProcessDriver from "../../src/driver/ProcessDriver.ts"
import * as LocalCluster from "../../src/local/LocalCluster.ts"
import { freeRange } from "../../src/local/Ports.ts"

const standIn = [process.execPath, fileURLToPath(new URL("standInGateway.ts", import.meta.url))]

const ask = (url: string): Effect.Effect<string, Error> =>
  Effect.async((resume) => {
    const { hostname, port } = new URL(url)
    const socket = net.connect({ host: hostname, port: Number(port) })
    let text = ""
    socket.on("data", (chunk) => {
      text += chunk
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    socket.once("close", () => resume(Effect.succeed(text)))
  })

const isAlive = (pid: number): boolean => Proc.identify(pid) !== undefined

describe("LocalCluster", { timeout: 60_000 }, () => {
  let stateDir = ""
  beforeEach(async () => {
    stateDir = await mkdtemp(path.join(tmpdir(), "holdfast-cluster-"))
    await chmod(stateDir, 0o711)
  })
  afterEach(() => rm(stateDir, { recursive: true, force: true }))

  const options = (
    more: Partial<LocalCluster.LocalClusterOptions> = {},
  ): LocalCluster.LocalClusterOptions => ({
    stateDir,
    replicas: 2,
    port: 0,
    database: { url: "postgres://nobody@127.0.0.1:1/none" },
    gatewayCommand: standIn,
    ...more,
  })
  const run = <A, E>(
    use: (cluster: LocalCluster.LocalCluster) => Effect.Effect<A, E>,
    more: Partial<LocalCluster.LocalClusterOptions> = {},
  ) => Effect.runPromise(LocalCluster.start(options(more)).pipe(Effect.flatMap(use), Effect.scoped))
  const refusal = (more: Partial<LocalCluster.LocalClusterOptions>) =>
    Effect.runPromise(LocalCluster.start(options(more)).pipe(Effect.flip, Effect.scoped))

  it("starts its replicas with their settings and serves them at one address", async () => {
    const pids = await run(
      (cluster) =>
        Effect.gen(function* () {
          const replicas = cluster.replicas()
          expect(replicas.map(({ name }) => name)).toEqual(["replica-1", "replica-2"])
          const answers = yield* Effect.all([1, 2, 3, 4].map(() => ask(cluster.frontDoor)))
          expect(new Set(answers)).toEqual(new Set(replicas.map(({ name, pid }) => `${name} ${pid}`)))
          const environ = yield* Effect.promise(() => readFile(`/proc/${replicas[0]?.pid}/environ`, "utf8"))
          expect(environ).toContain("HOLDFAST_EXTRA=replica-1")
          expect(environ).toContain(`HOLDFAST_PUBLIC_URL=${cluster.frontDoor}`)
          const file = cluster.settingsFile("replica-1")
          expect(yield* Effect.promise(() => readFile(file, "utf8"))).toContain("HOLDFAST_NAME='replica-1'")
          expect((yield* Effect.promise(() => stat(file))).mode & 0o777).toBe(0o600)
          return replicas.map(({ pid }) => pid)
        }),
      { environment: (name) => ({ HOLDFAST_EXTRA: name }) },
    )
    expect(pids.filter(isAlive)).toEqual([])
  })

  it("goes on without a killed replica, reports it, and starts it again when told", async () => {
    const exits: Array<string> = []
    await run(
      (cluster) =>
        Effect.gen(function* () {
          const { pid } = yield* cluster.replica("replica-1")
          process.kill(pid, "SIGKILL")
          yield* Effect.sync(() => expect(exits).toEqual([`replica-1 ${pid} SIGKILL unexpected`])).pipe(
            Effect.sandbox,
            Effect.retry(Schedule.spaced(20)),
            Effect.timeout(10_000),
          )
          for (let round = 0; round < 4; round++) expect(yield* ask(cluster.frontDoor)).toContain("replica-2")
          expect((yield* cluster.replica("replica-1")).pid).toBe(0)
          const again = yield* cluster.restart("replica-1")
          expect(again.pid).not.toBe(pid)
          expect(yield* ask(again.url)).toBe(`replica-1 ${again.pid}`)
          const third = yield* cluster.add
          expect(yield* ask(third.url)).toBe(`replica-3 ${third.pid}`)
          yield* cluster.freeze("replica-3")
          yield* cluster.kill("replica-3")
          expect(isAlive(third.pid)).toBe(false)
        }),
      {
        onEvent: (event) => {
          if (event._tag !== "ReplicaExited" || event.exit.expected) return
          exits.push(`${event.exit.name} ${event.exit.pid} ${event.exit.signal} unexpected`)
        },
      },
    )
  })

  it("stops the sandboxes of its state directory at the end, keeps their files, and nothing else", async () => {
    const driver = ProcessDriver.layer({
      stateDir,
      endpoint: "http://127.0.0.1:1",
      logLevel: "info",
      command: ["/bin/bash", "-c", "sleep 300", "supervisor"],
    })
    const bystander = spawn("sleep", ["300"])
    const spec = { logLevel: "", environment: {}, providers: [], command: [], tty: false }
    const sandbox = {
      id: "some-sandbox",
      name: "demo",
      workspace: "default",
      spec,
      token: Redacted.make("t"),
    }
    const observed = await run(() =>
      Effect.flatMap(Driver, (it) => it.create(sandbox)).pipe(Effect.provide(driver)),
    )
    expect(isAlive(Number(observed.instanceId.split("-")[0]))).toBe(false)
    expect((await stat(path.join(stateDir, "sandboxes/some-sandbox/workspace"))).isDirectory()).toBe(true)
    expect(isAlive(bystander.pid ?? 0)).toBe(true)
    bystander.kill("SIGKILL")
  })

  it("refuses a second cluster on the same state directory and names the first", async () => {
    await run((cluster) =>
      Effect.gen(function* () {
        const error = yield* Effect.promise(() => refusal({}))
        expect(error.message).toContain(`a cluster already runs on ${stateDir} at ${cluster.frontDoor}`)
        expect(error.message).toContain(`pid ${process.pid}`)
        expect(error.next).toContain("--state")
      }),
    )
  })

  it("keeps a state directory to the kind of database that it began with", async () => {
    await run(() => Effect.void, { database: "sqlite" })
    const error = await refusal({ database: "postgres" })
    expect(error.message).toBe(`${stateDir} belongs to a cluster on sqlite, not on postgres`)
    expect(error.next).toContain("with --sqlite")
    await run(() => Effect.void, { database: "sqlite" })
  })

  it("names the port that is taken, who has it, and what to do", async () => {
    const port = await Effect.runPromise(Effect.scoped(freeRange(2)))
    const blocker = net.createServer()
    await new Promise<void>((resolve) => blocker.listen(port + 2, "127.0.0.1", resolve))
    const script = `require('net').createServer().listen(${port + 4},'127.0.0.1',()=>console.log('up'))`
    const other = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })
    await new Promise((resolve) => other.stdout.once("data", resolve))
    const first = await refusal({ port })
    expect(first.message).toBe(`port ${port + 2}, needed for peers of replica-1, is in use`)
    expect(first.next).toContain("--port")
    await new Promise((resolve) => blocker.close(resolve))
    const second = await refusal({ port })
    expect(second.message).toContain(
      `port ${port + 4}, needed for clients of replica-2, is in use by pid ${other.pid}`,
    )
    other.kill("SIGKILL")
  })

  it("says why a replica does not start, and leaves nothing running", async () => {
    const pids: Array<number> = []
    const error = await refusal({
      environment: (name) => ({ STAND_IN: name === "replica-2" ? "broken" : "" }),
      onEvent: (event) => {
        if (event._tag === "ReplicaExited") pids.push(event.exit.pid)
      },
    })
    expect(error.message).toContain("replica-2 ended during its start")
    expect(error.message).toContain("the database does not exist")
    expect(pids.filter(isAlive)).toEqual([])
  })

  it("ends what a killed cluster left behind before it starts its own", async () => {
    const script = fileURLToPath(new URL("holdCluster.ts", import.meta.url))
    const port = await Effect.runPromise(Effect.scoped(freeRange(2)))
    const holder = spawn(process.execPath, [script, stateDir, String(port)], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    const text = await new Promise<string>((resolve) =>
      holder.stdout.once("data", (data) => resolve(String(data))),
    )
    const left: ReadonlyArray<number> = JSON.parse(text)
    holder.kill("SIGKILL")
    await new Promise((resolve) => holder.once("exit", resolve))
    expect(left.filter(isAlive)).toEqual(left)
    // The same ports: what was left must be gone before they are looked at.
    await run((cluster) => Effect.sync(() => expect(cluster.frontDoor).toBe(`http://127.0.0.1:${port}`)), {
      port,
      database: "postgres",
    })
    expect(left.filter(isAlive)).toEqual([])
  })

  it("brings a Postgres of its own when asked", async () => {
    const pid = await run(
      (cluster) =>
        Effect.sync(() => {
          expect(cluster.postgres?.url).toMatch(/^postgres:\/\/holdfast:/)
          return cluster.postgres?.pid ?? 0
        }),
      { database: "postgres", replicas: 1 },
    )
    expect(isAlive(pid)).toBe(false)
  })
})
