import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Client } from "ssh2"
import { beforeAll, describe, expect, it } from "vitest"
import { finish, isAlive, type SshHarness, ssh, sshArgs, startSsh, until } from "./SshHarness.ts"

let sandbox: SshHarness

beforeAll(async () => {
  sandbox = await startSsh({
    environment: {
      OPENSHELL_SANDBOX_TOKEN: "secret",
      OPENSHELL_SANDBOX: "demo",
      HOLDFAST_SANDBOX_LOCK: "id",
    },
    sandboxVariables: { GREETING: "from the sandbox" },
  })
})

const pidFrom = async (file: string): Promise<number> =>
  until(`pid in ${file}`, () => {
    try {
      return Number(readFileSync(join(sandbox.workdir, file), "utf8").trim()) || undefined
    } catch {
      return undefined
    }
  })

describe("exec over SSH", () => {
  it("keeps standard output and standard error apart and returns the exit code", async () => {
    const { stdout, stderr, code } = await ssh(sandbox, ["echo out; echo err >&2; exit 7"])
    expect([stdout.toString(), stderr, code]).toEqual(["out\n", "err\n", 7])
  })

  it("passes binary input through unchanged, megabytes of it", async () => {
    const input = randomBytes(8 * 1_048_576)
    const { stdout, code } = await ssh(sandbox, ["cat"], input)
    expect(code).toBe(0)
    expect(stdout.equals(input)).toBe(true)
  })

  it("carries large output on both streams at once, each unchanged", async () => {
    const script = "(seq 1 400000) & (seq 1 400000 >&2); wait"
    const { stdout, stderr } = await ssh(sandbox, [script])
    const expected = `${Array.from({ length: 400_000 }, (_, index) => index + 1).join("\n")}\n`
    expect(stdout.toString() === expected).toBe(true)
    expect(stderr === expected).toBe(true)
  })

  it("lets a script open /dev/stdin, /dev/stdout and /dev/stderr again", async () => {
    const script = "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr"
    const { stdout, stderr, code } = await ssh(sandbox, [script], "in")
    expect([stdout.toString(), stderr, code]).toEqual(["in", "e\n", 0])
  })

  it("runs in the working directory with the sandbox's variables and without the supervisor's secrets", async () => {
    const { stdout } = await ssh(sandbox, ["pwd; echo $GREETING; env"])
    const lines = stdout.toString().split("\n")
    expect(lines.slice(0, 2)).toEqual([sandbox.workdir, "from the sandbox"])
    expect(lines).toContain("OPENSHELL_SANDBOX=demo")
    expect(lines).toContain("HOLDFAST_SANDBOX_LOCK=id")
    expect(stdout.toString()).not.toContain("secret")
  })

  it("passes variables of the client on, except names of ours", async () => {
    const env = { ...process.env, FLAVOUR: "sour", OPENSHELL_SANDBOX: "fake", HOLDFAST_X: "1" }
    const args = ["-oSendEnv=FLAVOUR", "-oSendEnv=OPENSHELL_*", "-oSendEnv=HOLDFAST_*"]
    const child = spawn(
      "ssh",
      [...args, ...sshArgs(sandbox, ["echo $FLAVOUR $OPENSHELL_SANDBOX [$HOLDFAST_X]"])],
      {
        env,
      },
    )
    child.stdin.end()
    expect((await finish(child)).stdout.toString()).toBe("sour demo []\n")
  })

  it("reports a death by signal as such", async () => {
    const { code, stderr } = await ssh(sandbox, ["-v", "-oLogLevel=DEBUG1", "kill -USR1 $$"])
    expect(code).toBe(255)
    expect(stderr).toContain("rtype exit-signal")
  })

  it("returns when the command has ended although a background process holds the output, like sshd without it", async () => {
    const { stdout, code } = await ssh(sandbox, ["sleep 30 >/dev/null 2>&1 & echo started"])
    expect([stdout.toString(), code]).toEqual(["started\n", 0])
  })

  it("ends the command and what it started when the connection is lost", async () => {
    const child = spawn(
      "ssh",
      sshArgs(sandbox, ["sleep 1000 & echo $! > child.pid; echo $$ > leader.pid; wait"]),
    )
    const finished = finish(child)
    const pids = [await pidFrom("child.pid"), await pidFrom("leader.pid")]
    expect(pids.every(isAlive)).toBe(true)
    for (const socket of sandbox.sockets) socket.destroy()
    await until("both processes end", () => pids.every((pid) => !isAlive(pid)))
    await finished
  })

  it("kills a command that ignores TERM and HUP when its client goes", async () => {
    const child = spawn(
      "ssh",
      sshArgs(sandbox, ["trap '' TERM HUP; echo $$ > stubborn.pid; while :; do sleep 0.1; done"]),
    )
    const pid = await pidFrom("stubborn.pid")
    child.kill("SIGTERM")
    await finish(child)
    await until("the process ends", () => !isAlive(pid))
  })

  it("stops a command whose client does not read, instead of buffering", async () => {
    const child = spawn(
      "ssh",
      sshArgs(sandbox, ["echo $$ > flood.pid; exec dd if=/dev/zero bs=1M count=2000 2> flood.log"]),
    )
    const pid = await pidFrom("flood.pid")
    const written = (): number => Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1])
    let before = -1
    await until("the flood stands still", () => {
      const now = written()
      const still = now === before && now > 0
      before = now
      return still
    })
    expect(before).toBeLessThan(64 * 1_048_576)
    child.kill("SIGKILL")
    await until("the process ends", () => !isAlive(pid))
  })

  it("runs a shell without a terminal from standard input", async () => {
    const { stdout, code } = await ssh(sandbox, [], "echo one\necho two\nexit 3\n")
    expect([stdout.toString(), code]).toEqual(["one\ntwo\n", 3])
  })

  it("runs a command line of thirty thousand bytes", async () => {
    const text = "wörd ".repeat(5_000)
    const { stdout } = await ssh(sandbox, [`printf '%s' '${text}' | wc -c`])
    expect(stdout.toString().trim()).toBe(String(Buffer.byteLength(text)))
  })

  it("survives a client that starts two commands in one session", async () => {
    const client = new Client()
    client.connect({ host: "127.0.0.1", port: sandbox.port, username: "x" })
    client.on("error", () => undefined)
    await once(client, "ready")
    await new Promise<void>((resolve) => {
      client.exec("cat", (_error, channel) => {
        const protocol: unknown = Reflect.get(client, "_protocol")
        const again: unknown =
          typeof protocol === "object" && protocol !== null && Reflect.get(protocol, "exec")
        const outgoing: unknown = channel.outgoing
        if (typeof again !== "function" || typeof outgoing !== "object" || outgoing === null) {
          throw new Error("ssh2 has changed")
        }
        Reflect.apply(again, protocol, [Reflect.get(outgoing, "id"), "echo twice", false])
        channel.on("close", () => resolve())
        channel.resume()
        channel.end("once")
      })
    })
    client.end()
    expect((await ssh(sandbox, ["echo alive"])).stdout.toString()).toBe("alive\n")
  })

  it("serves many sessions of one connection and many connections at once", async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) => ssh(sandbox, [`echo ${index}; exit ${index}`])),
    )
    expect(results.map(({ code }) => code)).toEqual(Array.from({ length: 20 }, (_, index) => index))
    expect(sandbox.errors).toEqual([])
  })
})
