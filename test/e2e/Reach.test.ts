/** The whole slice with its own supervisor: any replica reaches any sandbox, with real ssh, scp and HTTP. */
import { execFile, spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, get } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { OpenShell, SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { callUnary, openTyped } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"
import { exec, sh } from "../kit/Exec.ts"
import { openForward, sshToken } from "../kit/Forward.ts"
import { requireTools } from "../kit/Tools.ts"
import { until } from "../kit/Until.ts"

const holdfast = fileURLToPath(new URL("../../bin/holdfast", import.meta.url))

let cluster: TestCluster
let scratch: string
let id = ""
let holder = ""
beforeAll(async () => {
  await requireTools(["ssh", "scp", "rsync"])
  scratch = mkdtempSync(join(tmpdir(), "holdfast-reach-"))
  cluster = await TestCluster.start()
  id = (await cluster.create("reach")).metadata?.id ?? ""
  await cluster.ready("reach")
  holder = (await cluster.locate(id)).sessionHolder
}, 120_000)
afterAll(async () => {
  await cluster?.stop()
  rmSync(scratch, { recursive: true, force: true })
}, 60_000)

const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex")

const run = (command: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
    execFile(
      command,
      [...args],
      { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024, timeout: 60_000 },
      (error, stdout, stderr) =>
        resolve({
          code: error === null ? 0 : typeof error.code === "number" ? error.code : 255,
          stdout,
          stderr,
        }),
    )
  })

/** An ssh configuration that goes through one replica. */
const sshConfig = (replica: string): string => {
  const file = join(scratch, `ssh-${replica}`)
  writeFileSync(
    file,
    `Host box
  User sandbox
  ProxyCommand ${holdfast} --gateway ${cluster.replica(replica).url} ssh-proxy reach
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`,
  )
  return file
}

describe("through every replica", () => {
  it("exec passes output, standard error, input and exit codes", async () => {
    for (const via of cluster.names) {
      const connection = await cluster.connection(via)
      const result = await exec(connection, {
        sandboxId: id,
        command: ["sh", "-c", "cat; echo oops >&2; exit 7"],
        stdin: Buffer.from(`through ${via}`),
        environment: { GREETING: "it's fine" },
      })
      expect(result.stdout.toString()).toBe(`through ${via}`)
      expect(result.stderr.toString()).toBe("oops\n")
      expect(result.exitCode).toBe(7)
    }
  })

  it("exec passes 16 MiB of output whole", async () => {
    const connection = await cluster.connection(cluster.names.find((name) => name !== holder) ?? "")
    const result = await sh(connection, id, "head -c 16777216 /dev/zero | tr '\\0' 'x'", 60_000)
    expect(result.stdout.length).toBe(16 * 1024 * 1024)
    expect(result.exitCode).toBe(0)
  })

  it("a command of 200 KiB runs, with and without a terminal", async () => {
    const connection = await cluster.connection(cluster.names[0] ?? "")
    const words = Array.from({ length: 7 }, (_, index) => String(index).repeat(30_000))
    for (const tty of [false, true]) {
      const result = await exec(connection, {
        sandboxId: id,
        command: ["sh", "-c", 'printf "%s" "$*" | wc -c', "sh", ...words],
        tty,
      })
      expect(Number(result.stdout.toString().trim())).toBe(7 * 30_000 + 6)
      expect(result.exitCode).toBe(0)
    }
  })

  it("an exec that outlives its timeout ends with 124, and one whose command is killed with 128 plus the signal", async () => {
    const connection = await cluster.connection(cluster.names[0] ?? "")
    const timedOut = await exec(connection, { sandboxId: id, command: ["sleep", "60"], timeoutSeconds: 1 })
    expect(timedOut.exitCode).toBe(124)
    const killed = await sh(connection, id, "kill -9 $$")
    expect(killed.exitCode).toBe(137)
  })

  it("an interactive shell has a terminal of the right size that can be resized", async () => {
    for (const via of cluster.names) {
      const call = openTyped(await cluster.connection(via), OpenShell.method.execSandboxInteractive)
      await call.send({
        payload: {
          case: "start",
          value: { sandboxId: id, command: ["bash", "--norc"], tty: true, cols: 91, rows: 37 },
        },
      })
      let seen = ""
      let exitCode: number | undefined
      const reading = (async () => {
        while (true) {
          const event = await call.receive()
          if (event === undefined) return
          if (event.payload.case === "stdout") seen += Buffer.from(event.payload.value.data).toString()
          if (event.payload.case === "exit") exitCode = event.payload.value.exitCode
        }
      })()
      const type = (text: string) => call.send({ payload: { case: "stdin", value: Buffer.from(text) } })
      await type("stty size\n")
      await until("the size is shown", async () => seen.includes("37 91"))
      await call.send({ payload: { case: "resize", value: { cols: 120, rows: 50 } } })
      await type("stty size\n")
      await until("the new size is shown", async () => seen.includes("50 120"))
      await type("exit 3\n")
      await reading
      expect(exitCode).toBe(3)
    }
  })

  it("plain ssh runs commands and passes their exit codes", async () => {
    for (const via of cluster.names) {
      const result = await run("ssh", ["-F", sshConfig(via), "box", "echo hello; exit 5"])
      expect(result.stdout).toBe("hello\n")
      expect(result.code).toBe(5)
    }
  })

  it("scp copies files both ways unchanged", async () => {
    const content = randomBytes(3_000_000)
    const local = join(scratch, "odd name ü.bin")
    writeFileSync(local, content)
    for (const via of cluster.names) {
      const config = sshConfig(via)
      const up = await run("scp", ["-F", config, local, `box:copy-${via}.bin`])
      expect(up).toMatchObject({ code: 0 })
      const back = join(scratch, `back-${via}.bin`)
      const down = await run("scp", ["-F", config, `box:copy-${via}.bin`, back])
      expect(down).toMatchObject({ code: 0 })
      expect(sha256(readFileSync(back))).toBe(sha256(content))
    }
  }, 120_000)

  it("rsync copies a tree unchanged", async () => {
    const tree = join(scratch, "tree")
    await run("sh", [
      "-c",
      `mkdir -p '${tree}/a b' && head -c 100000 /dev/urandom > '${tree}/a b/x' && ln -s x '${tree}/a b/link'`,
    ])
    const config = sshConfig(cluster.names[1] ?? "")
    expect(await run("rsync", ["-a", "-e", `ssh -F ${config}`, `${tree}/`, "box:tree/"])).toMatchObject({
      code: 0,
    })
    expect(await run("rsync", ["-a", "-e", `ssh -F ${config}`, "box:tree/", `${tree}-back/`])).toMatchObject({
      code: 0,
    })
    expect(await run("diff", ["-r", tree, `${tree}-back`])).toMatchObject({ code: 0 })
  }, 60_000)

  it("a forward carries 256 MiB of a real HTTP server unchanged", async () => {
    const size = 256 * 1024 * 1024
    const block = randomBytes(1024 * 1024)
    const blocks = size / block.length
    const server = createServer((_, response) => {
      response.writeHead(200, { "content-length": size })
      let sent = 0
      const pump = () => {
        while (sent < blocks) {
          sent += 1
          if (!response.write(block)) {
            response.once("drain", pump)
            return
          }
        }
        response.end()
      }
      pump()
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => {
      server.close()
    })
    const expected = createHash("sha256")
    for (let n = 0; n < blocks; n++) expected.update(block)
    const digest = expected.digest("hex")

    for (const via of cluster.names) {
      const connection = await cluster.connection(via)
      const token = await sshToken(connection, id)
      const local = createTcpServer({ allowHalfOpen: true }, (socket) => {
        void openForward(connection, {
          sandboxId: id,
          token,
          port: (server.address() as AddressInfo).port,
        }).then((stream) => socket.pipe(stream).pipe(socket))
        socket.on("error", () => {})
      })
      await new Promise<void>((resolve) => local.listen(0, "127.0.0.1", resolve))
      const received = await new Promise<string>((resolve, reject) => {
        get({ host: "127.0.0.1", port: (local.address() as AddressInfo).port, agent: false }, (response) => {
          const hash = createHash("sha256")
          response.on("data", (chunk: Buffer) => hash.update(chunk))
          response.once("end", () => resolve(hash.digest("hex")))
          response.once("error", reject)
        }).once("error", reject)
      })
      local.close()
      expect(received).toBe(digest)
    }
  }, 180_000)
})

describe("a client that vanishes", () => {
  it("takes its remote process with it", async () => {
    const marker = `9${String(randomBytes(3).readUIntBE(0, 3)).padStart(8, "0")}`
    const client = spawn("ssh", ["-F", sshConfig(cluster.names[2] ?? ""), "box", `exec sleep ${marker}`], {
      stdio: "ignore",
    })
    const connection = await cluster.connection(cluster.names[0] ?? "")
    const running = async () =>
      (await sh(connection, id, `pgrep -fx 'sleep ${marker}' >/dev/null && echo yes || echo no`)).stdout
        .toString()
        .trim() === "yes"
    await until("the remote process runs", running)
    client.kill("SIGKILL")
    await until("the remote process is gone", async () => !(await running()), 30_000)
  }, 60_000)
})

describe("a sandbox", () => {
  it("stops, keeps its files, starts again and is deleted with them", async () => {
    const connection = await cluster.connection(cluster.names[0] ?? "")
    const { metadata } = await cluster.create("cycle")
    const cycle = metadata?.id ?? ""
    await cluster.ready("cycle")
    await sh(connection, cycle, "echo kept > kept.txt")

    await callUnary(connection, OpenShell.method.stopSandbox, { name: "cycle" }, { timeoutMs: 30_000 })
    expect(await cluster.phase("cycle")).toBe(SandboxPhase.STOPPED)
    await expect(sh(connection, cycle, "true")).rejects.toThrow("sandbox is not ready")
    await callUnary(connection, OpenShell.method.startSandbox, { name: "cycle" }, { timeoutMs: 30_000 })
    await cluster.ready("cycle")
    expect((await sh(connection, cycle, "cat kept.txt")).stdout.toString()).toBe("kept\n")
    await callUnary(connection, OpenShell.method.deleteSandbox, { name: "cycle" }, { timeoutMs: 30_000 })
    await expect(cluster.phase("cycle")).rejects.toThrow("sandbox not found")
  }, 90_000)

  it("whose main process exits is an error with its exit code", async () => {
    await cluster.create("ends", { command: ["sh", "-c", "sleep 1; exit 9"] })
    const connection = await cluster.connection(cluster.names[1] ?? "")

    const status = async () =>
      (await callUnary(connection, OpenShell.method.getSandbox, { name: "ends" })).sandbox?.status
    await until("it is an error", async () => (await status())?.phase === SandboxPhase.ERROR)
    expect((await status())?.exitCode).toBe(9)
  })

  it("whose supervisor is killed is started again", async () => {
    await cluster.create("phoenix")
    await cluster.ready("phoenix")
    const connection = await cluster.connection(cluster.names[0] ?? "")

    const row = async () =>
      (await callUnary(connection, OpenShell.method.getSandbox, { name: "phoenix" })).sandbox
    const before = (await row())?.status?.mainProcessInstanceId
    process.kill(Number((await row())?.status?.agentPod.split("-")[0]), "SIGKILL")
    await until(
      "another instance is ready",
      async () => {
        const now = await row()
        return now?.status?.phase === SandboxPhase.READY && now.status.mainProcessInstanceId !== before
      },
      60_000,
    )
    expect((await sh(connection, (await row())?.metadata?.id ?? "", "echo back")).stdout.toString()).toBe(
      "back\n",
    )
  }, 90_000)
})
