import { type ChildProcess, spawn } from "node:child_process"
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { mainModule } from "../../src/domain/Installation.ts"
import * as Proc from "../../src/driver/Proc.ts"
import { freeRange } from "../../src/local/Ports.ts"

interface Ready {
  readonly frontDoor: string
  readonly replicas: ReadonlyArray<{ readonly name: string; readonly url: string; readonly pid: number }>
  readonly postgres: { readonly url: string; readonly pid: number } | null
}

class Up {
  stdout = ""
  stderr = ""
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  constructor(args: ReadonlyArray<string>) {
    this.child = spawn(process.execPath, [mainModule, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: cleanEnvironment(),
    })
    this.child.stderr?.on("data", (chunk) => {
      this.stderr += chunk
    })
    this.child.stdout?.on("data", (chunk) => {
      this.stdout += chunk
    })
    this.exited = new Promise((resolve) => this.child.once("close", resolve))
  }
  /** The JSON line; rejects when the program ends without it. */
  ready(): Promise<Ready> {
    return new Promise((resolve, reject) => {
      const { stdout } = this.child
      if (stdout === null) return reject(new Error("no stdout"))
      createInterface(stdout).once("line", (line) => resolve(JSON.parse(line)))
      this.child.once("close", (code) => reject(new Error(`ended with code ${code}: ${this.stderr}`)))
    })
  }
}

const cleanEnvironment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HOLDFAST|OPENSHELL)_/.test(name)))

const run = async (
  args: ReadonlyArray<string>,
): Promise<{ code: number | null; stdout: string; stderr: string }> => {
  const up = new Up(args)
  const code = await up.exited
  return { code, stdout: up.stdout, stderr: up.stderr }
}

const isAlive = (pid: number): boolean => Proc.identify(pid) !== undefined
const eventually = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
  const deadline = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("the condition did not come true")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

describe("holdfast up", { timeout: 240_000 }, () => {
  let stateDir = ""
  let port = 0
  const running = new Set<Up>()
  beforeEach(async () => {
    stateDir = await mkdtemp(path.join(tmpdir(), "holdfast-up-"))
    await chmod(stateDir, 0o711)
    port = await Effect.runPromise(Effect.scoped(freeRange(5)))
  })
  afterEach(async () => {
    for (const up of running) {
      up.child.kill("SIGINT")
      await up.exited
    }
    running.clear()
    await rm(stateDir, { recursive: true, force: true })
  })
  const common = () => ["--state", stateDir, "--port", String(port)]
  const start = (...args: ReadonlyArray<string>) => {
    const up = new Up(["up", ...common(), ...args])
    running.add(up)
    return up
  }
  const exec = (url: string, ...command: ReadonlyArray<string>) =>
    run(["--gateway", url, "sandbox", "exec", "demo", "--", ...command])
  /** The name of the replica that a new connection to the address reaches. */
  const answeredBy = async (url: string): Promise<string | undefined> => {
    const { stdout } = await run(["--gateway", url, "-o", "json", "gateway", "members"])
    const members: ReadonlyArray<{ readonly name: string; readonly self: boolean }> = JSON.parse(
      stdout || "[]",
    )
    return members.find(({ self }) => self)?.name
  }
  /** Supervisors of the state directory that run now. */
  const supervisors = async () => {
    const ids = await readdir(path.join(stateDir, "sandboxes")).catch(() => [])
    const records = await Promise.all(
      ids.map((id) => readFile(path.join(stateDir, "sandboxes", id, "run/supervisor.json"), "utf8")),
    )
    return records.map((text): Proc.ProcessIdentity => JSON.parse(text)).filter(Proc.isAlive)
  }

  it("shows a command through every replica with --once, stops everything, and exits with 0", async () => {
    const { code, stdout, stderr } = await run(["up", ...common(), "--once", "--json"])
    expect(code, stderr).toBe(0)
    expect(stdout.trimEnd().split("\n")).toHaveLength(1)
    const ready: Ready = JSON.parse(stdout)
    expect(ready.frontDoor).toBe(`http://127.0.0.1:${port}`)
    expect(ready.replicas.map(({ name }) => name)).toEqual(["replica-1", "replica-2", "replica-3"])
    for (const { name } of ready.replicas) expect(stderr).toContain(`hello from demo through ${name}`)
    expect([...ready.replicas.map(({ pid }) => pid), ready.postgres?.pid ?? 0].filter(isAlive)).toEqual([])
    expect(await supervisors()).toEqual([])
  })

  it("runs one replica on SQLite when asked", async () => {
    const { code, stdout, stderr } = await run(["up", ...common(), "--once", "--json", "--sqlite"])
    expect(code, stderr).toBe(0)
    const ready: Ready = JSON.parse(stdout)
    expect(ready.postgres).toBeNull()
    expect(ready.replicas).toHaveLength(1)
  })

  it("outlives a killed replica, takes it and one more by hand, refuses a second up, and finds its state again", async () => {
    const up = start("--json")
    const ready = await up.ready()
    expect(await exec(ready.frontDoor, "sh", "-c", "echo kept > ~/kept; cat ~/kept")).toMatchObject({
      code: 0,
      stdout: "kept\n",
    })

    const [first, second] = ready.replicas
    if (first === undefined || second === undefined) throw new Error("too few replicas")
    process.kill(second.pid, "SIGKILL")
    await eventually(() => up.stderr.includes(`${second.name} (pid ${second.pid}) was ended by SIGKILL`))
    expect((await exec(first.url, "echo", "still here")).stdout).toBe("still here\n")
    expect((await exec(ready.frontDoor, "echo", "here too")).stdout).toBe("here too\n")

    const settings = path.join(stateDir, "replicas", `${second.name}.env`)
    const byHand = spawn(process.execPath, [`--env-file=${settings}`, mainModule, "gateway", "run"], {
      stdio: "ignore",
    })
    await eventually(async () => (await exec(second.url, "echo", "back")).stdout === "back\n")

    const joining = spawn(
      process.execPath,
      [`--env-file=${path.join(stateDir, "replicas/replica-4.env")}`, mainModule, "gateway", "run"],
      { stdio: "ignore" },
    )
    await eventually(async () => (await answeredBy(ready.frontDoor)) === "replica-4")
    joining.kill("SIGKILL")
    await new Promise((resolve) => joining.once("exit", resolve))

    const refused = await run(["up", ...common()])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain("a cluster already runs on")

    // A terminal sends Ctrl-C to everybody and `bun run` passes it on once more.
    up.child.kill("SIGINT")
    up.child.kill("SIGINT")
    expect(await up.exited).toBe(0)
    running.delete(up)
    expect(ready.replicas.map(({ pid }) => pid).filter(isAlive)).toEqual([])
    expect(isAlive(ready.postgres?.pid ?? 0)).toBe(false)
    // It stops what it started and nothing else.
    expect(isAlive(byHand.pid ?? 0)).toBe(true)
    byHand.kill("SIGKILL")
    await new Promise((resolve) => byHand.once("exit", resolve))
    expect(await supervisors()).toEqual([])

    const again = start("--json", "--replicas", "1")
    const found = await again.ready()
    expect(again.stderr).toContain("demo found from an earlier start")
    expect((await exec(found.frontDoor, "sh", "-c", "cat ~/kept")).stdout).toBe("kept\n")
    expect(await supervisors()).toHaveLength(1)
  })

  it("says which port is taken before it starts anything", async () => {
    const blocker = spawn(
      process.execPath,
      ["-e", `require("net").createServer().listen(${port + 1}, "127.0.0.1", () => console.log("up"))`],
      { stdio: ["ignore", "pipe", "inherit"] },
    )
    await new Promise((resolve) => blocker.stdout.once("data", resolve))
    const { code, stdout, stderr } = await run(["up", ...common(), "--json"])
    blocker.kill("SIGKILL")
    expect(code).toBe(1)
    expect(stdout).toBe("")
    expect(stderr).toContain(
      `port ${port + 1}, needed for clients of replica-1, is in use by pid ${blocker.pid}`,
    )
    expect(stderr).toContain("--port")
  })

  it("says what to do about a state directory that cannot be made", async () => {
    const file = path.join(stateDir, "file")
    await writeFile(file, "")
    const { code, stderr } = await run(["up", "--state", path.join(file, "state"), "--port", String(port)])
    expect(code).toBe(1)
    expect(stderr).toContain("--state")
    expect(stderr).not.toContain("at ")
  })
})
