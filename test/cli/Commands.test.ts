import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { spawn as spawnPty } from "@lydell/node-pty"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { SandboxPhase } from "../../src/wire/OpenShell.ts"
import { eventually } from "../client/Fixtures.ts"
import { GatewayDouble } from "../client/GatewayDouble.ts"
import { finished, holdfast, launcher, start } from "./Launch.ts"

let gateway: GatewayDouble
let folder = ""
beforeEach(async () => {
  gateway = await GatewayDouble.start()
  folder = mkdtempSync(join(tmpdir(), "holdfast-cli-"))
})
afterEach(async () => {
  await gateway.stop()
  rmSync(folder, { recursive: true, force: true })
})

const run = (...args: ReadonlyArray<string>) => holdfast(args, { gateway: gateway.url, cwd: folder })
const json = async (...args: ReadonlyArray<string>): Promise<unknown> => {
  const { code, stdout, stderr } = await run(...args, "-o", "json")
  expect(stderr).toBe("")
  expect(code).toBe(0)
  return JSON.parse(stdout)
}

describe("sandbox list and get", () => {
  it("print tables for people and JSON for programs", async () => {
    gateway.add("demo", { labels: { team: "a" } })
    gateway.add("other")
    const table = await run("sandbox", "list")
    expect(table.stdout).toMatch(/^NAME {4}PHASE {3}AGE\ndemo {4}Ready {3}\d+s\nother {3}Ready {3}\d+s\n$/)
    expect(table.stderr).toBe("")
    expect((await run("sandbox", "list", "-o", "name", "-l", "team=a")).stdout).toBe("demo\n")
    expect(await json("sandbox", "list")).toMatchObject([
      { name: "demo", labels: { team: "a" } },
      { name: "other" },
    ])
    expect(await json("sandbox", "get", "demo")).toMatchObject({ name: "demo", status: { phase: "Ready" } })
    expect((await run("sandbox", "get", "demo")).stdout).toMatch(/^Name: +demo\n/)
  })

  it("say on stderr that there is nothing", async () => {
    expect(await run("sandbox", "list")).toEqual({
      code: 0,
      stdout: "",
      stderr: 'No sandboxes in workspace "default".\n',
    })
  })

  it("suggest the nearest name for one that does not exist, with exit code 5", async () => {
    gateway.add("demo")
    const { code, stdout, stderr } = await run("sandbox", "get", "dmeo")
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" })
    expect(stderr).toContain('Did you mean "demo"?')
  })

  it("end with exit code 10 when no gateway answers", async () => {
    const { code, stderr } = await holdfast(["sandbox", "list"], { gateway: "http://127.0.0.1:9" })
    expect(code).toBe(10)
    expect(stderr.split("\n")).toHaveLength(4)
  })
})

describe("sandbox create, stop, start and delete", () => {
  it("wait for the phase and print the name", async () => {
    gateway.initialPhase = SandboxPhase.PROVISIONING
    const creating = run("sandbox", "create", "demo", "--label", "a=b", "--", "sleep", "--", "9")
    await eventually("the watch", () => gateway.watchers === 1)
    const sandbox = gateway.sandboxes.get("demo")
    if (sandbox === undefined) throw new Error("not created")
    expect(sandbox).toMatchObject({ command: ["sleep", "--", "9"], labels: { a: "b" } })
    gateway.setPhase(sandbox, SandboxPhase.READY)
    const { code, stdout, stderr } = await creating
    expect({ code, stdout }).toEqual({ code: 0, stdout: "demo\n" })
    expect(stderr).toContain("demo: Provisioning\ndemo: Ready\n")
  })

  it("report a sandbox that ends in error, with its reason", async () => {
    gateway.initialPhase = SandboxPhase.ERROR
    const { code, stderr } = await run("sandbox", "create", "demo")
    expect(code).toBe(7)
    expect(stderr).toContain("it was created and still exists")
  })

  it("stop and delete sandboxes by name, and all of them only when told so", async () => {
    gateway.add("a")
    gateway.add("b")
    expect((await run("sandbox", "stop", "a")).stderr).toContain('Sandbox "a" is Stopped.')
    expect((await run("sandbox", "delete")).code).toBe(2)
    expect((await run("sandbox", "delete", "--all")).code).toBe(2)
    expect(gateway.sandboxes.size).toBe(2)
    expect((await run("sandbox", "delete", "--all", "--yes", "--wait")).code).toBe(0)
    expect(gateway.sandboxes.size).toBe(0)
  })

  it("refuse a policy that is not one, and send one that is", async () => {
    writeFileSync(join(folder, "bad.yaml"), "version: 1\nunknown_thing: true\n")
    writeFileSync(join(folder, "good.yaml"), "version: 1\nfilesystem:\n  include_workdir: true\n")
    const bad = await run("sandbox", "create", "x", "--policy", "bad.yaml")
    expect(bad.code).toBe(2)
    expect(bad.stderr).toContain("unknown_thing")
    expect((await run("sandbox", "create", "x", "--policy", "good.yaml", "-o", "name")).stdout).toBe("x\n")
  })
})

describe("sandbox exec", () => {
  it("passes output and exit code through", async () => {
    gateway.add("demo")
    const command = ["bash", "-c", 'echo "$A $PWD"; echo err >&2; exit 42']
    const { code, stdout, stderr } = await run(
      "sandbox",
      "exec",
      "demo",
      "--env",
      "A=1",
      "--workdir",
      "/",
      "--",
      ...command,
    )
    expect({ code, stdout, stderr }).toEqual({ code: 42, stdout: "1 /\n", stderr: "err\n" })
  })

  it("reads stdin only with -i", async () => {
    gateway.add("demo")
    const cat = (...flags: ReadonlyArray<string>) =>
      holdfast(["sandbox", "exec", "demo", ...flags, "--", "cat"], { gateway: gateway.url, stdin: "input" })
    expect(await cat("-i")).toEqual({ code: 0, stdout: "input", stderr: "" })
    expect(await cat()).toEqual({ code: 0, stdout: "", stderr: "" })
  })

  it("ends with 255 when the connection fails and with the refusal's code otherwise", async () => {
    const sandbox = gateway.add("demo")
    gateway.failures.set("ExecSandbox", grpcError(Status.UNAVAILABLE, "relay channel dropped"))
    expect((await run("sandbox", "exec", "demo", "--", "true")).code).toBe(255)
    gateway.failures.clear()
    gateway.setPhase(sandbox, SandboxPhase.STOPPED)
    const stopped = await run("sandbox", "exec", "demo", "--", "true")
    expect(stopped.code).toBe(7)
    expect(stopped.stderr).toContain("holdfast sandbox start demo")
    expect((await run("sandbox", "exec", "demo")).code).toBe(2)
  })

  it("stops the command when it is interrupted, with exit code 130", async () => {
    gateway.add("demo")
    const child = start(["sandbox", "exec", "demo", "--", "bash", "-c", "echo $$; sleep 600"], {
      gateway: gateway.url,
    })
    const ended = finished(child)
    const pid = await new Promise<number>((resolve) =>
      child.stdout.once("data", (text) => resolve(Number(text))),
    )
    child.kill("SIGINT")
    expect((await ended).code).toBe(130)
    await eventually("the command to be killed", () => {
      try {
        process.kill(pid, 0)
        return false
      } catch {
        return true
      }
    })
  })
})

describe("on a terminal", () => {
  const terminal = (...args: ReadonlyArray<string>) => {
    const pty = spawnPty(launcher, [...args], {
      cols: 101,
      rows: 31,
      cwd: folder,
      env: { PATH: process.env["PATH"], HOME: folder, HOLDFAST_GATEWAY: gateway.url, TERM: "xterm" },
    })
    const screen = { text: "" }
    pty.onData((text) => {
      screen.text += text
    })
    const exited = new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)))
    return { pty, screen, exited }
  }

  it("connect opens a login shell of the terminal's size and follows its changes", async () => {
    gateway.add("demo")
    const { pty, screen, exited } = terminal("sandbox", "connect", "demo")
    pty.write("stty size; echo $TERM\r")
    await eventually("the size", () => screen.text.includes("31 101"))
    await eventually("the terminal's name", () => screen.text.includes("\nxterm\r"))
    pty.resize(77, 21)
    pty.write("sleep 0.2; stty size\r")
    await eventually("the new size", () => screen.text.includes("21 77"))
    pty.write("exit 9\r")
    expect(await exited).toBe(9)
  })

  it("Ctrl-C goes to the command and the terminal is given back", async () => {
    gateway.add("demo")
    const script = `${launcher} sandbox exec demo -t -- bash -c 'trap "echo caught; exit 3" INT; echo ready; while :; do sleep 0.1; done'; echo "code $?"; stty -a`
    const pty = spawnPty("/bin/bash", ["-c", script], {
      cwd: folder,
      env: { PATH: process.env["PATH"], HOME: folder, HOLDFAST_GATEWAY: gateway.url, TERM: "xterm" },
    })
    let text = ""
    pty.onData((chunk) => {
      text += chunk
    })
    const exited = new Promise<void>((resolve) => pty.onExit(() => resolve()))
    await eventually("the command", () => text.includes("ready"))
    pty.write("\u0003")
    await exited
    expect(text).toContain("caught")
    expect(text).toContain("code 3")
    expect(text).toMatch(/ icanon/)
    expect(text).toMatch(/ echo /)
  })
})

describe("upload and download", () => {
  it("copy there and back, with the result as JSON", async () => {
    gateway.add("demo")
    mkdirSync(join(folder, "tree"))
    writeFileSync(join(folder, "tree", "f"), "content")
    expect(await json("sandbox", "upload", "demo", "tree")).toMatchObject({ files: 1, bytes: 7 })
    expect((await run("sandbox", "download", "demo", "tree/f", "back")).stderr).toBe(
      `Downloaded 1 file (7 B) to ${join(folder, "back")}.\n`,
    )
    expect(readFileSync(join(folder, "back"), "utf8")).toBe("content")
    const missing = await run("sandbox", "download", "demo", "nope")
    expect(missing.code).toBe(5)
    expect(missing.stderr).toContain("why: nope: no such file or directory")
  })
})

describe("logs and watch", () => {
  const line = (message: string, timestampMs: number) => ({
    message,
    timestampMs: BigInt(timestampMs),
    level: "INFO",
    source: "sandbox",
  })

  it("print lines once, or go on with -f until Ctrl-C", async () => {
    const sandbox = gateway.add("demo")
    sandbox.logs.push(line("one", 1), line("two", 2))
    const once = await run("logs", "demo", "--tail", "1")
    expect(once.stdout).toBe("1970-01-01T00:00:00.002Z INFO  sandbox two\n")
    const child = start(["logs", "demo", "-f", "-o", "json"], { gateway: gateway.url })
    const ended = finished(child)
    await eventually("the watch", () => gateway.watchers === 1)
    gateway.emit(sandbox, { payload: { case: "log", value: { ...line("three", 3), sandboxId: sandbox.id } } })
    let seen = ""
    child.stdout.on("data", (chunk) => {
      seen += String(chunk)
    })
    await eventually("the third line", () => seen.includes("three"))
    child.kill("SIGINT")
    const { code, stdout } = await ended
    expect(code).toBe(130)
    expect(
      stdout
        .trim()
        .split("\n")
        .map((text) => JSON.parse(text).message),
    ).toEqual(["one", "two", "three"])
  })

  it("end a watch when the sandbox is gone", async () => {
    const sandbox = gateway.add("demo")
    const watching = run("sandbox", "watch", "demo")
    await eventually("the watch", () => gateway.watchers === 1)
    gateway.emit(sandbox, {
      payload: { case: "event", value: { reason: "Pulled", message: "ok", type: "Normal" } },
    })
    gateway.remove(sandbox)
    const { code, stdout } = await watching
    expect(code).toBe(0)
    expect(stdout).toMatch(/Phase Ready\n.*Normal {2}Pulled: ok\n/)
  })

  it("stop quietly when their reader has enough", async () => {
    const sandbox = gateway.add("demo")
    for (let index = 0; index < 2_000; index++) sandbox.logs.push(line("x".repeat(200), index))
    const child = start(["logs", "demo"], { gateway: gateway.url })
    const ended = finished(child)
    child.stdout.once("data", () => child.stdout.destroy())
    const { code, stderr } = await ended
    expect(stderr).toBe("")
    expect(code).toBe(141)
  })
})

describe("forward", () => {
  it("prints its address, carries requests and ends with 0 on Ctrl-C", async () => {
    gateway.add("demo")
    const web = createServer((_request, response) => response.end("hello"))
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve))
    const { port } = web.address() as AddressInfo
    const child = start(["forward", "demo", `:${port}`, "-o", "name"], { gateway: gateway.url })
    const ended = finished(child)
    const address = await new Promise<string>((resolve) =>
      child.stdout.once("data", (text) => resolve(String(text).trim())),
    )
    expect(await (await fetch(`http://${address}/`)).text()).toBe("hello")
    child.kill("SIGINT")
    expect((await ended).code).toBe(0)
    expect(gateway.tokens.size).toBe(0)
    web.close()
  })
})

describe("gateway status", () => {
  it("shows every replica and ends with 1 while one is down", async () => {
    const { code, stdout } = await run("gateway", "status")
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /^REPLICA {3}LIVE {3}SHARDS {3}SESSIONS {3}RELAYS {3}AGE\na\* {8}yes {7}300 {10}2 {8}0\nb {9}no/,
    )
    expect((await run("gateway", "members", "-o", "name")).stdout).toBe("a\nb\n")
  })

  it("shows the health of a gateway that is not Holdfast's", async () => {
    gateway.failures.set("GetClusterStatus", grpcError(Status.UNIMPLEMENTED, "unknown method"))
    const { code, stdout } = await run("gateway", "status")
    expect(code).toBe(0)
    expect(stdout).toContain("healthy")
  })
})

describe("the launcher", () => {
  it("works through links from any directory", async () => {
    symlinkSync(launcher, join(folder, "first"))
    symlinkSync("first", join(folder, "second"))
    const pty = spawnPty(join(folder, "second"), ["version"], {
      cwd: "/",
      env: { PATH: process.env["PATH"] },
    })
    let text = ""
    pty.onData((chunk) => {
      text += chunk
    })
    await new Promise<void>((resolve) => pty.onExit(() => resolve()))
    expect(text).toMatch(/^holdfast \d+\.\d+\.\d+/)
  })
})
