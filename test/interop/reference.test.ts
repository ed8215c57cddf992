/** Sandboxes under the double of OpenShell's supervisor, started by the process driver: what needs no download. */
import path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { OpenShell, SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { exec, sh } from "../kit/Exec.ts"
import { type EchoServer, echo, echoServer, openForward, sshToken } from "../kit/Forward.ts"
import { until } from "../kit/Until.ts"

let cluster: TestCluster
let target: EchoServer
/** Of the tests that leave it as it is. */
let shared: { readonly name: string; readonly id: string }
beforeAll(async () => {
  const program = path.join(import.meta.dirname, "supervisor.ts")
  cluster = await TestCluster.start({
    environment: () => ({
      HOLDFAST_SUPERVISOR_COMMAND: [process.execPath, "--disable-warning=ExperimentalWarning", program].join(
        ",",
      ),
    }),
  })
  target = await echoServer()
  shared = await sandbox()
}, 90_000)
afterAll(async () => {
  target?.close()
  await cluster?.stop()
}, 60_000)

let counter = 0
const sandbox = async (command: ReadonlyArray<string> = ["sleep", "100000"]) => {
  counter += 1
  const name = `ref-${counter}`
  const created = await cluster.create(name, { command: [...command] })
  await cluster.ready(name)
  return { name, id: created.metadata?.id ?? "" }
}

const get = async (name: string) =>
  (await callUnary(await cluster.connection("replica-1"), OpenShell.method.getSandbox, { name })).sandbox

describe("a sandbox under OpenShell's supervisor", () => {
  it("runs commands through every replica: outputs, input, exit codes, a terminal", async () => {
    const { id } = shared
    for (const via of cluster.names) {
      const connection = await cluster.connection(via)
      const done = await exec(connection, {
        sandboxId: id,
        command: ["sh", "-c", "cat; echo err >&2; exit 7"],
        stdin: Buffer.from("in"),
      })
      expect([done.stdout.toString(), done.stderr.toString(), done.exitCode]).toEqual(["in", "err\n", 7])
      const terminal = await exec(connection, { sandboxId: id, command: ["tty"], tty: true })
      expect(terminal.stdout.toString()).toMatch(/^\/dev\/pts\//)
    }
  })

  it("is reached by forwards through every replica", async () => {
    const { id } = shared
    for (const via of cluster.names) {
      const connection = await cluster.connection(via)
      const token = await sshToken(connection, id)
      const stream = await openForward(connection, { sandboxId: id, token, port: target.port })
      const payload = Buffer.alloc(300_000, 3)
      expect((await echo(stream, payload)).equals(payload)).toBe(true)
      stream.destroy()
    }
  })

  it("keeps working while the replica of its session is restarted: callers wait, none is refused", async () => {
    const { id } = shared
    const { sessionHolder } = await cluster.locate(id)
    const via = cluster.names.find((name) => name !== sessionHolder) ?? ""
    const connection = await cluster.connection(via)
    let over = false
    const restarted = cluster.restart(sessionHolder).finally(() => {
      over = true
    })
    let runs = 0
    while (!over || runs < 3) {
      expect((await sh(connection, id, `echo ${runs}`)).stdout.toString()).toBe(`${runs}\n`)
      runs += 1
    }
    await restarted
  })

  it("tells its lines and the end of its main process", async () => {
    const { name, id } = await sandbox(["sh", "-c", "sleep 1; exit 5"])
    await until("the exit is known", async () => (await get(name))?.status?.phase === SandboxPhase.ERROR)
    expect((await get(name))?.status?.exitCode).toBe(5)
    const connection = await cluster.connection("replica-2")
    const { logs } = await callUnary(connection, OpenShell.method.getSandboxLogs, { sandboxId: id })
    expect(logs.map(({ message }) => message)).toContain("main process started")
    expect(new Set(logs.map(({ source }) => source))).toContain("sandbox")
  })

  it("synchronises the policy that it found before its main process starts", async () => {
    const { id } = shared
    const config = await callUnary(await cluster.connection("replica-3"), OpenShell.method.getSandboxConfig, {
      sandboxId: id,
    })
    expect(config.version).toBe(1)
    expect(config.policy?.filesystem?.readWrite).toEqual(["/tmp", "/dev/null"])
  })
})
