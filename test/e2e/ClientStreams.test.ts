/** What people run, in progress on a real cluster, while the replica that carries it is killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash, type Hash, randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer, get } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type IPty, spawn as spawnPty } from "@lydell/node-pty"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { TestCluster } from "../kit/Cluster.ts"
import { sh } from "../kit/Exec.ts"
import { requireTools } from "../kit/Tools.ts"
import { until as untilWithin } from "../kit/Until.ts"

const holdfast = fileURLToPath(new URL("../../bin/holdfast", import.meta.url))
const mebibyte = 1_048_576

let cluster: TestCluster
let scratch: string
let id = ""
/** The sandbox's working directory: the process driver's sandboxes are directories of this machine. */
let home = ""
beforeAll(async () => {
  await requireTools(["ssh", "scp", "rsync"])
  scratch = mkdtempSync(join(tmpdir(), "holdfast-streams-"))
  cluster = await TestCluster.start()
  id = (await cluster.create("demo")).metadata?.id ?? ""
  await cluster.ready("demo")
  home = (await sh(await cluster.connection("replica-1"), id, "pwd")).stdout.toString().trim()
}, 120_000)
const children = new Set<ChildProcess>()
const shells = new Set<IPty>()
afterAll(async () => {
  for (const child of [...children, ...shells]) child.kill("SIGKILL")
  await cluster?.stop()
  rmSync(scratch, { recursive: true, force: true })
}, 60_000)

/** A dozen programs start at once, perhaps on a busy machine. */
const until = (what: string, condition: () => Promise<boolean>) => untilWithin(what, condition, 45_000)

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex")

interface Running {
  readonly child: ChildProcess
  readonly output: { readonly hash: Hash; bytes: number; text: string; errors: string }
  readonly ended: Promise<number | null>
}

/** A program whose output is counted; its text is kept while it is short. */
const run = (command: string, args: ReadonlyArray<string>, gateways: string): Running => {
  const child = spawn(command, [...args], {
    env: { ...process.env, HOLDFAST_GATEWAY: gateways },
    stdio: ["ignore", "pipe", "pipe"],
  })
  children.add(child)
  child.once("close", () => children.delete(child))
  const output = { hash: createHash("sha256"), bytes: 0, text: "", errors: "" }
  child.stdout.on("data", (chunk: Buffer) => {
    output.hash.update(chunk)
    output.bytes += chunk.length
    if (output.bytes < mebibyte) output.text += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    output.errors += chunk.toString()
  })
  return { child, output, ended: new Promise((resolve) => child.once("close", resolve)) }
}

const sshConfig = (): string => {
  const file = join(scratch, "ssh-config")
  writeFileSync(
    file,
    `Host box
  User sandbox
  ProxyCommand ${holdfast} ssh-proxy demo
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`,
  )
  return file
}

const sizeOf = (file: string): number => {
  try {
    const stats = statSync(file)
    if (!stats.isDirectory()) return stats.size
    return readdirSync(file).reduce((sum, name) => sum + sizeOf(join(file, name)), 0)
  } catch {
    return 0
  }
}

/** Bytes of what programs write beside the final name while a copy is under way. */
const partial = (prefix: string): number =>
  readdirSync(home)
    .filter((name) => name.startsWith(prefix))
    .reduce((sum, name) => sum + sizeOf(join(home, name)), 0)

const count = 400
const pausedAt = 100
/** Prints lines, waits for a file in the middle of them, and ends with that exit code. */
const script = (gate: string, code: number): string =>
  `i=0; while [ $i -lt ${count} ]; do echo line $i; i=$((i+1)); [ $i = ${pausedAt} ] && ` +
  `until [ -e ${gate} ]; do sleep 0.05; done; sleep 0.005; done; exit ${code}`
const wholeText = Array.from({ length: count }, (_, index) => `line ${index}\n`).join("")

/** Sends `body`, the second half after `go`. */
const slowServer = async (body: Buffer, go: Promise<void>) => {
  const half = Math.floor(body.length / 2)
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": body.length })
    response.write(body.subarray(0, half))
    void go.then(() => response.end(body.subarray(half)))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return { port, close: () => server.close() }
}

const fetched = (address: string) => {
  const got = { bytes: 0, digest: Promise.resolve("") }
  got.digest = new Promise((resolve, reject) => {
    get(`http://${address}/`, { agent: false }, (response) => {
      const hash = createHash("sha256")
      response.on("data", (chunk: Buffer) => {
        hash.update(chunk)
        got.bytes += chunk.length
      })
      response.once("end", () => resolve(hash.digest("hex")))
      response.once("error", reject)
    }).once("error", reject)
  })
  got.digest.catch(() => undefined)
  return got
}

/** A person's login shell on a terminal. */
const startShell = (gateways: string) => {
  const pty = spawnPty(holdfast, ["sandbox", "connect", "demo"], {
    env: { ...process.env, HOLDFAST_GATEWAY: gateways, TERM: "xterm" },
  })
  const screen = { text: "" }
  pty.onData((text) => {
    screen.text += text
  })
  shells.add(pty)
  const exited = new Promise<number>((resolve) =>
    pty.onExit(({ exitCode }) => {
      shells.delete(pty)
      resolve(exitCode)
    }),
  )
  return { screen, exited, type: (line: string) => pty.write(`${line}\r`) }
}

/** Everything at once through `gateways`; `loss` happens when all of it is in progress. */
const survives = async (round: string, gateways: string, loss: () => Promise<unknown>): Promise<void> => {
  const content = randomBytes(4 * mebibyte)
  const local = join(scratch, `file-${round}`)
  writeFileSync(local, content)
  const large = randomBytes(64 * mebibyte)
  writeFileSync(join(scratch, `large-${round}`), large)
  const tree = join(scratch, `tree-${round}`)
  mkdirSync(tree)
  writeFileSync(join(tree, "x"), content)
  const config = sshConfig()
  const gate = `go-${round}`
  const go = Promise.withResolvers<void>()
  const web = await slowServer(content, go.promise)
  const started = (...args: ReadonlyArray<string>) => run(holdfast, args, gateways)

  const forwarding = started("forward", "demo", `:${web.port}`, "-o", "name")
  const ssh = run("ssh", ["-F", config, "box", script(gate, 5)], gateways)
  const exec = started("sandbox", "exec", "demo", "--", "sh", "-c", script(gate, 3))
  const scp = run("scp", ["-F", config, "-l", "12000", local, `box:scp-${round}`], gateways)
  const rsyncArgs = ["-a", "--inplace", "--bwlimit=1500", "-e", `ssh -F ${config}`]
  const rsync = run("rsync", [...rsyncArgs, `${tree}/`, `box:rsync-${round}/`], gateways)
  /** Stopped as soon as it has begun, until everything has. */
  const begun = (what: string, { child }: Running, file: string): Promise<unknown> =>
    until(`${what} is in progress`, async () => sizeOf(join(home, file)) > 0).then(() =>
      child.kill("SIGSTOP"),
    )
  const downloading = async () => {
    await until("the forward listens", async () => forwarding.output.text.includes("\n"))
    const http = fetched(forwarding.output.text.trim())
    await until("the download is in progress", async () => http.bytes > 0)
    return http
  }
  const shell = startShell(gateways)
  shell.type("echo begun-$((40+2))")
  const half = pausedAt * "line 0\n".length
  const [http] = await Promise.all([
    downloading(),
    begun("scp", scp, `scp-${round}`),
    begun("rsync", rsync, `rsync-${round}`),
    until("ssh is in progress", async () => ssh.output.bytes > half),
    until("exec is in progress", async () => exec.output.bytes > half),
    until("the shell is in progress", async () => shell.screen.text.includes("begun-42")),
  ])
  const upload = started("sandbox", "upload", "demo", join(scratch, `large-${round}`))
  await until("the upload is in progress", async () => partial(".holdfast-upload-") > 0)
  for (const { child } of [scp, rsync]) child.kill("SIGCONT")
  writeFileSync(join(home, gate), "")
  go.resolve()
  await loss()
  expect([ssh, exec, scp, rsync, upload].map(({ child }) => child.exitCode)).toEqual(Array(5).fill(null))

  expect([await ssh.ended, ssh.output.text, ssh.output.errors]).toEqual([5, wholeText, ""])
  expect([await exec.ended, exec.output.text, exec.output.errors]).toEqual([3, wholeText, ""])
  shell.type("echo still-$((40+3)); exit 6")
  expect(await shell.exited).toBe(6)
  expect(shell.screen.text).toContain("still-43")
  expect(await http.digest).toBe(sha256(content))
  expect([await scp.ended, scp.output.errors]).toEqual([0, ""])
  expect([await rsync.ended, rsync.output.errors]).toEqual([0, ""])
  expect([await upload.ended, upload.output.errors]).toMatchObject([0, expect.stringContaining("Uploaded")])
  expect(sha256(readFileSync(join(home, `scp-${round}`)))).toBe(sha256(content))
  expect(sha256(readFileSync(join(home, `rsync-${round}`, "x")))).toBe(sha256(content))
  expect(sha256(readFileSync(join(home, `large-${round}`)))).toBe(sha256(large))
  forwarding.child.kill("SIGINT")
  expect(await forwarding.ended).toBe(0)
  web.close()
}

/** Programs that follow the sandbox through all of it. */
const following: Array<Running> = []

const urls = (first: string): string =>
  [first, ...cluster.names.filter((name) => name !== first)]
    .map((name) => cluster.replica(name).url)
    .join(",")

describe("a shell, ssh, scp, rsync, exec, upload and a forwarded download go on, exact, after kill -9 of", () => {
  it("the client's replica", async () => {
    const holder = (await cluster.locate(id)).sessionHolder
    const mine = cluster.names.find((name) => name !== holder) ?? ""
    following.push(
      run(holdfast, ["sandbox", "watch", "demo"], urls(mine)),
      run(holdfast, ["logs", "demo", "-f"], urls(mine)),
    )
    await until("the watch shows the phase", async () => following[0]?.output.text.includes("Ready") ?? false)
    await survives("client", urls(mine), () => cluster.kill(mine))
    await cluster.restart(mine)
  }, 120_000)

  it("the session's holder, through one address for all replicas", async () => {
    const holder = (await cluster.locate(id)).sessionHolder
    await survives("holder", cluster.local.frontDoor, () => cluster.kill(holder))
  }, 120_000)
})

describe("a watch and a followed log", () => {
  it("have gone on through both, and end with the sandbox", async () => {
    expect(following.map(({ child }) => child.exitCode)).toEqual([null, null])
    const deleting = run(holdfast, ["sandbox", "delete", "demo", "--yes"], cluster.local.frontDoor)
    expect([await deleting.ended, deleting.output.errors]).toMatchObject([
      0,
      expect.not.stringContaining("error"),
    ])
    expect(await Promise.all(following.map(({ ended }) => ended))).toEqual([0, 0])
    expect(following[0]?.output.text).toContain("Deleting")
  }, 60_000)
})
