import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { spawnPty } from "../../src/supervisor/process/PtyChild.ts"
import { finish, type SshHarness, sshArgs, startSsh, until } from "./SshHarness.ts"

const subsystem = (harness: SshHarness, args: ReadonlyArray<string> = []): string[] => {
  const all = sshArgs(harness, [])
  const destination = all.pop() ?? ""
  return [...all, ...args, "-s", destination, "openshell-main"]
}

/** Attaches with the real ssh on a terminal of the given size. */
const attach = (harness: SshHarness, options: { cols?: number; rows?: number; readOnly?: boolean } = {}) => {
  const child = spawnPty({
    file: "/usr/bin/ssh",
    args: subsystem(harness, options.readOnly ? ["-tt", "-oSendEnv=OPENSHELL_MAIN_READ_ONLY"] : ["-tt"]),
    env: {
      PATH: process.env.PATH ?? "",
      HOME: harness.workdir,
      ...(options.readOnly ? { OPENSHELL_MAIN_READ_ONLY: "1" } : {}),
    },
    cwd: harness.workdir,
    terminal: { cols: options.cols ?? 80, rows: options.rows ?? 24, term: "xterm" },
  })
  let screen = ""
  child.stdout.on("data", (chunk: Buffer) => {
    screen += chunk.toString()
  })
  return {
    child,
    screen: () => screen,
    type: (text: string) => child.stdin.write(text),
    sees: (text: string) => until(`${JSON.stringify(text)} on the screen`, () => screen.includes(text)),
    leave: async () => {
      child.signal("SIGKILL")
      await child.exited
      child.release()
    },
  }
}

const collect = (child: ChildProcess): (() => string) => {
  let text = ""
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString()
  })
  return () => text
}

const shell = { command: ["/bin/bash", "--norc"] as const, tty: true }

describe("the main process", () => {
  it("replays its recent output to whoever attaches and goes on when they leave", async () => {
    const sandbox = await startSsh({ main: shell })
    const first = attach(sandbox)
    first.type("echo one-$((1+1))\n")
    await first.sees("one-2")
    await first.leave()
    const second = attach(sandbox)
    await second.sees("one-2")
    second.type("echo two-$((2+2))\n")
    await second.sees("two-4")
    await second.leave()
  })

  it("detaches on Ctrl-P Ctrl-Q with code 0 and leaves the process alone", async () => {
    const sandbox = await startSsh({ main: shell })
    const one = attach(sandbox)
    one.type("echo up-$((1+1))\n")
    await one.sees("up-2")
    one.type("\x10\x11")
    expect(await one.child.exited).toEqual({ code: 0 })
    const two = attach(sandbox)
    two.type("echo still-$((3+3))\n")
    await two.sees("still-6")
    await two.leave()
  })

  it("has one terminal that types; others watch until it leaves, read-only ones always", async () => {
    const sandbox = await startSsh({ main: shell })
    const owner = attach(sandbox)
    owner.type("echo owner-$((1+1))\n")
    await owner.sees("owner-2")
    const second = attach(sandbox)
    await second.sees("another terminal types")
    const watcher = attach(sandbox, { readOnly: true })
    await watcher.sees("owner-2")
    second.type("echo second-$((1+1))\n")
    watcher.type("echo watcher-$((1+1))\n")
    owner.type("echo marker-$((2+2))\n")
    for (const terminal of [owner, second, watcher]) await terminal.sees("marker-4")
    expect(owner.screen()).not.toContain("second-2")
    expect(owner.screen()).not.toContain("watcher-2")
    await owner.leave()
    await second.sees("this terminal types now")
    second.type("echo promoted-$((5+5))\n")
    await watcher.sees("promoted-10")
    await second.leave()
    watcher.type("echo never-$((1+1))\n")
    const last = attach(sandbox)
    last.type("echo last-$((4+4))\n")
    await last.sees("last-8")
    expect(last.screen()).not.toContain("never-2")
    await last.leave()
    await watcher.leave()
  })

  it("has the size of the terminal that types, and follows it", async () => {
    const sandbox = await startSsh({ main: shell })
    const one = attach(sandbox, { cols: 111, rows: 33 })
    one.type("echo size:$(stty size)\n")
    await one.sees("size:33 111")
    one.child.resize({ cols: 70, rows: 20 })
    one.type("echo then:$(stty size)\n")
    await one.sees("then:20 70")
    await one.leave()
  })

  it("keeps one MiB of output and no more, and ends the attachment with the process's code", async () => {
    const sandbox = await startSsh({
      main: { command: ["/bin/sh", "-c", "seq 1 300000; touch printed; read line; exit 12"], tty: false },
    })
    await until("the output", () => existsSync(join(sandbox.workdir, "printed")))
    const child = spawn("ssh", subsystem(sandbox))
    const output = collect(child)
    const finished = finish(child)
    await until("the end of the output", () => output().endsWith("300000\n"))
    expect(output().length).toBe(1_048_576)
    child.stdin.write("go\n")
    expect((await finished).code).toBe(12)
    const late = await finish(spawn("ssh", subsystem(sandbox), { stdio: ["ignore", "pipe", "pipe"] }))
    expect([late.code, late.stdout.length]).toEqual([12, 1_048_576])
  })

  it("passes a death by signal on to those who are attached", async () => {
    const sandbox = await startSsh({ main: { command: ["/bin/sh", "-c", "kill -TERM $$"], tty: false } })
    const { code } = await finish(spawn("ssh", subsystem(sandbox), { stdio: ["ignore", "pipe", "pipe"] }))
    expect(code).toBe(255)
  })

  it("is not held back by a watcher that does not read", async () => {
    const sandbox = await startSsh({
      main: { command: ["/bin/sh", "-c", "read x; seq 1 2000000; echo done; read y"], tty: false },
    })
    const owner = spawn("ssh", subsystem(sandbox))
    const output = collect(owner)
    const finished = finish(owner)
    const watcher = spawn("ssh", subsystem(sandbox, ["-oSendEnv=OPENSHELL_MAIN_READ_ONLY"]), {
      env: { ...process.env, OPENSHELL_MAIN_READ_ONLY: "1" },
    })
    watcher.stdout.pause()
    owner.stdin.write("go\n")
    await until("the owner has seen all", () => output().endsWith("done\n"), 20_000)
    const lines = output().trim().split("\n")
    expect(lines.length).toBe(2_000_001)
    for (const client of [owner, watcher]) client.kill("SIGKILL")
    await finished
  })

  it("is ended with the supervisor", async () => {
    const sandbox = await startSsh({
      main: {
        command: ["/bin/sh", "-c", "trap '' TERM HUP; touch trapped; while :; do sleep 0.1; done"],
        tty: true,
      },
    })
    await until("the trap", () => existsSync(join(sandbox.workdir, "trapped")))
    const exited = sandbox.main?.exited
    await sandbox.close()
    expect(await exited).toEqual({ signal: "SIGKILL" })
  })
})
