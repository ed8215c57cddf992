import { spawn } from "node:child_process"
import { Client, type ClientChannel } from "ssh2"
import { beforeAll, describe, expect, it } from "vitest"
import { spawnPty } from "../../src/supervisor/process/PtyChild.ts"
import type { RunningChild } from "../../src/supervisor/process/RunningChild.ts"
import { finish, isAlive, type SshHarness, ssh, sshArgs, startSsh, until } from "./SshHarness.ts"

let sandbox: SshHarness

beforeAll(async () => {
  sandbox = await startSsh()
})

/** The real ssh on a real terminal of ours, as a person would sit before it. */
const terminal = (args: ReadonlyArray<string>, cols = 101, rows = 37) => {
  const child = spawnPty({
    file: "/usr/bin/ssh",
    args: sshArgs(sandbox, args),
    env: { PATH: process.env.PATH ?? "", HOME: sandbox.workdir },
    cwd: sandbox.workdir,
    terminal: { cols, rows, term: "xterm-256color" },
  })
  let screen = ""
  child.stdout.on("data", (chunk: Buffer) => {
    screen += chunk.toString()
  })
  return {
    child,
    screen: () => screen,
    type: (text: string) => child.stdin.write(text),
    sees: (text: string) => until(`${text} on the screen, not only ${screen}`, () => screen.includes(text)),
  }
}

const end = async (child: RunningChild): Promise<void> => {
  child.release()
  await child.exited
}

describe("terminals over SSH", () => {
  it("gives a login shell a terminal of the client's size, and follows its changes", async () => {
    const { child, type, sees } = terminal([])
    type("echo size:$(stty size) shell:$(shopt -q login_shell && echo login) term:$TERM\n")
    await sees("size:37 101 shell:login term:xterm-256color")
    child.resize({ cols: 90, rows: 20 })
    type("echo again:$(stty size)\n")
    await sees("again:20 90")
    type("exit 4\n")
    expect(await child.exited).toEqual({ code: 4 })
  })

  it("hands Ctrl-C to the foreground program only", async () => {
    const { child, type, sees } = terminal([])
    type("echo before-$((40+1)); sleep 1000; echo after\n")
    await sees("before-41")
    type("\x03")
    type("echo still-$((40+2))\n")
    await sees("still-42")
    await end(child)
  })

  it("runs a command on a terminal and passes its exit code on", async () => {
    const { child, screen } = terminal(["-tt", "test -t 0 && test -t 1 && test -t 2 && echo tty; exit 9"])
    expect(await child.exited).toEqual({ code: 9 })
    expect(screen()).toContain("tty")
  })

  it("delivers everything that a program printed before its exit, also to a slow reader", async () => {
    const child = spawn("ssh", sshArgs(sandbox, ["-tt", "stty -onlcr; seq 1 300000"]))
    child.stdin.end()
    child.stdout.pause()
    setTimeout(() => child.stdout.resume(), 1_500)
    const { stdout } = await finish(child)
    const lines = stdout.toString().trim().split("\n")
    expect([lines.length, lines.at(-1)]).toEqual([300_000, "300000"])
  })

  it("does not stall on input that a program does not read", async () => {
    const child = spawn("ssh", sshArgs(sandbox, ["-tt", "stty raw -echo; sleep 1000"]))
    const finished = finish(child)
    child.stdin.on("error", () => undefined)
    child.stdin.write(Buffer.alloc(4 * 1_048_576, 120))
    const { stdout } = await ssh(sandbox, ["echo alive"])
    expect(stdout.toString()).toBe("alive\n")
    child.kill("SIGKILL")
    await finished
  })

  it("ends the shell and its foreground program when the client goes", async () => {
    const { child, type, screen } = terminal([])
    type("bash -c 'echo inner=$$=; sleep 1000; true'\n")
    const pid = await until("the inner pid", () => Number(/inner=(\d+)=/.exec(screen())?.[1]) || undefined)
    expect(isAlive(pid)).toBe(true)
    child.signal("SIGKILL")
    await until("the program ends", () => !isAlive(pid))
    await end(child)
  })

  it("keeps terminals apart: no process can reach the controlling end of another one", async () => {
    const first = terminal([])
    first.type("echo up-$((1+1))\n")
    await first.sees("up-2")
    const { stdout } = await ssh(sandbox, ["-tt", "ls -l /proc/self/fd"])
    const piped = await ssh(sandbox, ["ls -l /proc/self/fd"])
    expect(`${stdout}${piped.stdout}`).not.toContain("ptmx")
    await end(first.child)
  })

  it("takes the size of clients that say zero for the usual one", async () => {
    const { stdout } = await ssh(sandbox, ["-tt", "stty size"])
    expect(stdout.toString().trim()).toBe("24 80")
  })
})

const open = (): Promise<Client> =>
  new Promise((resolve, reject) => {
    const client = new Client()
    client.once("ready", () => resolve(client)).once("error", reject)
    client.connect({ host: "127.0.0.1", port: sandbox.port, username: "anyone" })
  })

const exec = (client: Client, command: string, pty = false): Promise<ClientChannel> =>
  new Promise((resolve, reject) => {
    client.exec(command, { pty }, (error, channel) =>
      error === undefined ? resolve(channel) : reject(error),
    )
  })

const exitOf = (channel: ClientChannel): Promise<ReadonlyArray<unknown>> =>
  new Promise((resolve) => channel.once("exit", (...exit: unknown[]) => resolve(exit)))

describe("signal requests", () => {
  it.each(["TERM", "INT", "HUP", "USR1", "USR2", "QUIT", "KILL", "ALRM", "PIPE"])(
    "delivers %s to the command's process group",
    async (name) => {
      const client = await open()
      const channel = await exec(client, "echo ready; sleep 1000")
      await until("ready", () => channel.read() !== null)
      const exit = exitOf(channel.resume())
      channel.signal(name)
      expect((await exit)[1]).toBe(`SIG${name}`)
      client.end()
    },
  )

  it("delivers signals after the client's input has ended", async () => {
    const client = await open()
    const channel = await exec(
      client,
      "trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.05; done",
    )
    channel.end()
    let output = ""
    channel.on("data", (chunk: Buffer) => {
      output += chunk.toString()
    })
    await until("ready", () => output.includes("ready"))
    const exit = exitOf(channel)
    // ssh2's client refuses to send after its own EOF; others, such as russh, do send.
    const protocol: unknown = Reflect.get(client, "_protocol")
    const outgoing: unknown = channel.outgoing
    if (
      typeof protocol !== "object" ||
      protocol === null ||
      typeof outgoing !== "object" ||
      outgoing === null
    ) {
      throw new Error("ssh2 has changed")
    }
    const signal: unknown = Reflect.get(protocol, "signal")
    if (typeof signal === "function") Reflect.apply(signal, protocol, [Reflect.get(outgoing, "id"), "USR1"])
    expect((await exit)[0]).toBe(5)
    expect(output).toContain("caught")
    client.end()
  })

  it("follows a window change", async () => {
    const client = await open()
    const channel = await exec(client, "while read -r line; do stty size; done", true)
    let output = ""
    channel.on("data", (chunk: Buffer) => {
      output += chunk.toString()
    })
    channel.setWindow(50, 132, 0, 0)
    channel.write("\n")
    await until("the new size", () => output.includes("50 132"))
    client.end()
  })
})
