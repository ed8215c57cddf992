import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { spawn as spawnPty } from "@lydell/node-pty"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { FarEnd } from "../client/FarEnd.ts"
import { GatewayDouble } from "../client/GatewayDouble.ts"
import { eventually } from "../kit/Until.ts"
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

describe("on a terminal", () => {
  const terminal = (...args: ReadonlyArray<string>) => {
    const pty = spawnPty(launcher, [...args], {
      cols: 101,
      rows: 31,
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, HOLDFAST_GATEWAY: gateway.url, TERM: "xterm" },
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
      env: { PATH: process.env.PATH, HOME: folder, HOLDFAST_GATEWAY: gateway.url, TERM: "xterm" },
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

describe("while no replica carries a command", () => {
  it("says so on a terminal after a while, and says when it goes on", async () => {
    const sandbox = gateway.add("demo")
    gateway.farEnd = new FarEnd({ home: sandbox.home })
    const pty = spawnPty(launcher, ["sandbox", "exec", "demo", "-t", "--", "cat"], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, HOLDFAST_GATEWAY: gateway.url, TERM: "xterm" },
    })
    let text = ""
    pty.onData((chunk) => {
      text += chunk
    })
    const exited = new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)))
    pty.write("before\r")
    await eventually("the echo", () => /before[\r\n]+before[\r\n]+before/.test(text))
    gateway.failures.set("ForwardTcp", grpcError(Status.UNAVAILABLE, "no session"))
    gateway.cut()
    pty.write("typed meanwhile\r")
    await eventually("the notice", () => text.includes("holdfast: reconnecting…\r"))
    gateway.failures.clear()
    await eventually("the second notice", () => text.includes("holdfast: reconnected\r"))
    await eventually("what was typed", () => /typed meanwhile[\r\n]+typed meanwhile/.test(text))
    pty.write("\u0004")
    expect(await exited).toBe(0)
    gateway.farEnd.server.close("the test is over")
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
      /^REPLICA {3}LIVE {3}SHARDS {3}SESSIONS {3}RELAYS {3}STATE {5}AGE\na\* {8}yes {7}300 {10}2 {8}0 {3}serving\nb {9}no/,
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
      env: { PATH: process.env.PATH },
    })
    let text = ""
    pty.onData((chunk) => {
      text += chunk
    })
    await new Promise<void>((resolve) => pty.onExit(() => resolve()))
    expect(text).toMatch(/^holdfast \d+\.\d+\.\d+/)
  })
})
