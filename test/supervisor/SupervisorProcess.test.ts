import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { mainModule } from "../../src/domain/Installation.ts"
import { GatewayDouble } from "./GatewayDouble.ts"
import { finish, isAlive, run, until } from "./SshHarness.ts"

let gateway: GatewayDouble
let endpoint: string
let workdir: string
const children: Array<{ kill: () => void }> = []

beforeEach(async () => {
  gateway = new GatewayDouble()
  endpoint = await gateway.listen()
  workdir = mkdtempSync(join(tmpdir(), "holdfast-process-test-"))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill()
  await gateway.close()
  rmSync(workdir, { recursive: true, force: true })
})

const start = (env: Record<string, string> = {}, argv: ReadonlyArray<string> = ["sleep", "1000"]) => {
  const child = spawn(process.execPath, [mainModule, "supervisor", "--workdir", workdir, "--", ...argv], {
    env: {
      PATH: process.env.PATH,
      HOME: workdir,
      OPENSHELL_SANDBOX_ID: "sandbox-1",
      OPENSHELL_SANDBOX: "demo",
      OPENSHELL_ENDPOINT: endpoint,
      OPENSHELL_SANDBOX_TOKEN: "very-secret-token",
      OPENSHELL_LOG_LEVEL: "info",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  })
  children.push({ kill: () => child.kill("SIGKILL") })
  return { child, finished: finish(child) }
}

describe("holdfast supervisor", () => {
  it("ends with the main process's code", async () => {
    const { finished } = start({}, ["sh", "-c", "exit 23"])
    expect((await finished).code).toBe(23)
    expect(gateway.exits.map(({ exitCode }) => exitCode)).toEqual([23])
  })

  it.each([
    ["SIGTERM" as const, 143],
    ["SIGINT" as const, 130],
  ])("ends within five seconds of %s, with its children, even stubborn ones", async (signal, code) => {
    const script = "trap '' TERM HUP INT; echo $$ > main.pid; while :; do sleep 0.1; done"
    const { child, finished } = start({}, ["bash", "-c", script])
    await until("the session", () => gateway.sessions[0], 20_000)
    const pid = await until("the main process", () => {
      try {
        return Number(readFileSync(join(workdir, "main.pid"), "utf8")) || undefined
      } catch {
        return undefined
      }
    })
    const before = performance.now()
    child.kill(signal)
    expect((await finished).code).toBe(code)
    expect(performance.now() - before).toBeLessThan(6_000)
    expect(isAlive(pid)).toBe(false)
    expect(gateway.exits).toEqual([])
  })

  it("logs one JSON object per line with the sandbox's id and never its token", async () => {
    const { finished } = start({ OPENSHELL_LOG_LEVEL: "debug" }, ["sh", "-c", "sleep 0.5; exit 0"])
    const { stderr, stdout } = await finished
    const lines = stderr
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line))
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) expect(line).toMatchObject({ sandbox: "sandbox-1", level: expect.any(String) })
    expect(`${stderr}${stdout}`).not.toContain("very-secret-token")
  })

  it("runs once per lock: a second one ends with code 75 and says why", async () => {
    const lock = `test-${randomUUID()}`
    start({ HOLDFAST_SANDBOX_LOCK: lock })
    await until("the session", () => gateway.sessions[0], 20_000)
    const second = await start({ HOLDFAST_SANDBOX_LOCK: lock }).finished
    expect(second.code).toBe(75)
    expect(second.stderr).toContain("already running")
    expect(gateway.sessions.length).toBe(1)
  })

  it("names the variable that is missing", async () => {
    const { code, stderr } = await start({ OPENSHELL_SANDBOX: "" }).finished
    expect(code).toBe(2)
    expect(stderr).toContain("OPENSHELL_SANDBOX: required")
  })

  it("serves SSH on its socket too, for its own user only, and abstract ones", async () => {
    const path = join(workdir, "run", "ssh.sock")
    start({ OPENSHELL_SSH_SOCKET_PATH: path })
    await until("the session", () => gateway.sessions[0], 20_000)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const name = `holdfast-test-${randomUUID()}`
    start({ OPENSHELL_SSH_SOCKET_PATH: `@${name}` })
    await until("the session", () => gateway.sessions[1], 20_000)
    const dial = `require("net").connect({path: process.argv[1]}).once("data", (d) => { console.log(String(d)); process.exit() })`
    for (const target of [path, `\\0${name}`]) {
      const script = dial.replace("process.argv[1]", JSON.stringify(target).replace("\\\\0", "\\0"))
      expect((await run(process.execPath, ["-e", script])).stdout.toString()).toContain("SSH-2.0-holdfast")
    }
  })
})
