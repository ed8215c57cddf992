import { execFile, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { limits } from "../../src/domain/Limits.ts"
import { Driver } from "../../src/driver/Driver.ts"
import * as Proc from "../../src/driver/Proc.ts"
import * as ProcessDriver from "../../src/driver/ProcessDriver.ts"
import { membersOf } from "../../src/driver/ProcessTree.ts"
import { config, sandbox } from "./Fixtures.ts"

const eventually = <A>(read: () => Promise<A>): Promise<A> =>
  Effect.runPromise(Effect.tryPromise(read).pipe(Effect.retry(Schedule.spaced(20)), Effect.timeout(10_000)))

const isFree = (pid: number) => Proc.identify(pid) === undefined

describe("ProcessDriver", { timeout: 30_000 }, () => {
  let stateDir = ""
  let id = ""
  const inSandbox = (...parts: ReadonlyArray<string>) => path.join(stateDir, "sandboxes", id, ...parts)
  const driver = <A, E>(use: (driver: typeof Driver.Service) => Effect.Effect<A, E>) =>
    Effect.runPromise(Effect.flatMap(Driver, use).pipe(Effect.provide(ProcessDriver.layer(config(stateDir)))))
  const starts = async () =>
    (await readFile(inSandbox("workspace/starts"), "utf8")).trim().split("\n").map(Number)
  const members = () => Effect.runPromise(membersOf(id))

  beforeEach(async () => {
    stateDir = await mkdtemp(path.join(tmpdir(), "holdfast-driver-"))
    id = randomUUID()
  })
  afterEach(async () => {
    await driver((it) => it.delete(id))
    await rm(stateDir, { recursive: true, force: true })
  })

  it("starts a supervisor in a directory of its own with the environment of the wire contract", async () => {
    const spec = {
      command: ["sleep", "9"],
      environment: { COLOR: "blue" },
      template: {
        image: "",
        runtimeClassName: "",
        agentSocket: "",
        labels: {},
        annotations: {},
        environment: { COLOR: "red", SIZE: "1" },
      },
    }
    process.env.HOLDFAST_DATABASE_URL = "postgres://secret"
    const observed = await driver((it) => it.create(sandbox(id, spec)))
    delete process.env.HOLDFAST_DATABASE_URL
    expect(observed.state).toBe("running")
    const [pid] = await eventually(starts)
    expect(observed.instanceId.split("-")[0]).toBe(String(pid))
    const environment = Object.fromEntries(
      (await readFile(inSandbox("workspace/environment"), "utf8"))
        .split("\0")
        .filter((entry) => entry !== "")
        .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
    )
    expect(environment).toMatchObject({
      HOME: inSandbox("workspace"),
      OPENSHELL_SANDBOX_ID: id,
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: "http://127.0.0.1:17670",
      OPENSHELL_SANDBOX_TOKEN_FILE: inSandbox("run/token"),
      OPENSHELL_MAIN_PROCESS_SPEC: '{"version":1,"command":["sleep","9"],"tty":false}',
      OPENSHELL_USER_ENVIRONMENT: '{"COLOR":"blue","SIZE":"1"}',
      OPENSHELL_LOG_LEVEL: "info",
      HOLDFAST_SANDBOX_LOCK: id,
    })
    expect(environment).not.toHaveProperty("HOLDFAST_DATABASE_URL")
    expect(environment).not.toHaveProperty("OPENSHELL_SANDBOX_TOKEN")
    expect(await readFile(inSandbox("run/token"), "utf8")).toBe("secret-token")
    expect((await stat(inSandbox("run/token"))).mode & 0o777).toBe(0o600)
  })

  it("leaves a running sandbox alone when it is created or started again", async () => {
    const first = await driver((it) => it.create(sandbox(id)))
    expect(await driver((it) => it.create(sandbox(id)))).toEqual(first)
    expect(await driver((it) => it.start(sandbox(id)))).toEqual(first)
    expect(await eventually(starts)).toHaveLength(1)
  })

  it("starts one supervisor when several replicas create the same sandbox at the same time", async () => {
    const script = fileURLToPath(new URL("createOnce.ts", import.meta.url))
    const run = () => promisify(execFile)(process.execPath, [script, stateDir, id])
    const replicas = await Promise.all([run(), run(), run()])
    expect(new Set(replicas.map(({ stdout }) => stdout)).size).toBe(1)
    await eventually(starts)
    expect(await starts()).toHaveLength(1)
    // The replicas have ended; this one finds what they started.
    expect(`${JSON.stringify(await driver((it) => it.observe(id)))}\n`).toBe(replicas[0].stdout)
  })

  it("stops every process, those that ignore TERM or left the session too, and keeps the directory", async () => {
    await driver((it) => it.create(sandbox(id)))
    await eventually(() => stat(inSandbox("workspace/stubborn.pid")))
    const supervisor = Proc.identify((await starts())[0] ?? 0)
    if (supervisor === undefined) throw new Error("the supervisor does not run")
    const family = await eventually(async () => {
      const found = Proc.family(supervisor)
      const hidden = found.filter(({ pid }) => Proc.commandLine(pid).join(" ") === "sleep 301")
      if (hidden.length !== 1) throw new Error("not all have started")
      return found
    })
    await driver((it) => it.stop(id))
    expect(family.filter(Proc.isAlive)).toEqual([])
    expect(await members()).toEqual([])
    expect(await driver((it) => it.observe(id))).toMatchObject({ state: "stopped", instanceId: "" })
    await stat(inSandbox("workspace/environment"))
    // Again is a success, and a start finds the files as they were.
    await driver((it) => it.stop(id))
    await driver((it) => it.start(sandbox(id)))
    await eventually(async () => expect(await starts()).toHaveLength(2))
  })

  it("adopts a supervisor whose start was not recorded", async () => {
    const first = await driver((it) => it.create(sandbox(id)))
    await eventually(starts)
    await rm(inSandbox("run/supervisor.json"))
    expect(await driver((it) => it.create(sandbox(id)))).toEqual(first)
    expect(await starts()).toHaveLength(1)
  })

  it("ends what outlived a killed supervisor before it starts another", async () => {
    await driver((it) => it.create(sandbox(id)))
    const stubborn = Number(await eventually(() => readFile(inSandbox("workspace/stubborn.pid"), "utf8")))
    const [first = 0] = await eventually(starts)
    // Without its parent nobody can know this one: it hid its mark.
    const hidden = Proc.family(Proc.identify(first) ?? { pid: 0, startTicks: 0 }).find(
      ({ pid }) => Proc.commandLine(pid).join(" ") === "sleep 301",
    )
    process.kill(first, "SIGKILL")
    await eventually(async () => expect((await driver((it) => it.observe(id))).detail).toContain("SIGKILL"))
    expect(isFree(stubborn)).toBe(false)
    await driver((it) => it.start(sandbox(id)))
    expect(isFree(stubborn)).toBe(true)
    await eventually(async () => expect(await starts()).toHaveLength(2))
    if (hidden !== undefined) Proc.signal(hidden, "SIGKILL")
  })

  it("does not take a stranger that got the pid of a former supervisor for the supervisor", async () => {
    await driver((it) => it.create(sandbox(id)))
    await eventually(starts)
    await driver((it) => it.stop(id))
    const stranger = spawn("sleep", ["60"])
    const ticks = Proc.identify(stranger.pid ?? 0)?.startTicks ?? 0
    await writeFile(
      inSandbox("run/supervisor.json"),
      JSON.stringify({ pid: stranger.pid, startTicks: ticks - 1, startedAtMs: 0 }),
    )
    expect((await driver((it) => it.observe(id))).state).toBe("stopped")
    await driver((it) => it.stop(id))
    expect(isFree(stranger.pid ?? 0)).toBe(false)
    stranger.kill("SIGKILL")
  })

  it("deletes the directory with the processes, and says when there was none", async () => {
    await driver((it) => it.create(sandbox(id)))
    await eventually(() => stat(inSandbox("workspace/stubborn.pid")))
    expect(await driver((it) => it.list)).toMatchObject([{ id, state: "running" }])
    expect(await driver((it) => it.delete(id))).toBe(true)
    expect(await members()).toEqual([])
    await expect(stat(inSandbox())).rejects.toThrow(/ENOENT/)
    expect(await driver((it) => it.delete(id))).toBe(false)
    expect(await driver((it) => it.observe(id))).toMatchObject({ state: "absent" })
    expect(await driver((it) => it.list)).toEqual([])
  })

  it("bounds the log of a sandbox", async () => {
    await driver((it) => it.create(sandbox(id)))
    await appendFile(inSandbox("run/supervisor.log"), Buffer.alloc(limits.driverLogBytes + 1, 0x61))
    await driver((it) => it.observe(id))
    expect((await stat(inSandbox("run/supervisor.log"))).size).toBe(0)
    expect((await stat(inSandbox("run/supervisor.log.1"))).size).toBeGreaterThan(limits.driverLogBytes)
  })

  it("refuses GPUs, an environment too long for a process, and an id that leads out of its directory", async () => {
    const refusal = (subject: ReturnType<typeof sandbox>) => driver((it) => Effect.flip(it.validate(subject)))
    expect(await refusal(sandbox(id, { gpu: { count: 1 } }))).toMatchObject({ _tag: "FailedPrecondition" })
    const environment = { A: "x".repeat(limits.environmentStringBytes) }
    expect(await refusal(sandbox(id, { environment }))).toMatchObject({ _tag: "InvalidArgument" })
    expect(await refusal(sandbox("../../etc"))).toMatchObject({ _tag: "InvalidArgument" })
    expect(await driver((it) => Effect.flip(it.delete("..")))).toMatchObject({ _tag: "InvalidArgument" })
  })
})
