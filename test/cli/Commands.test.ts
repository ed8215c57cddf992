import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { grpcError } from "../../src/wire/grpc/GrpcError.ts"
import { SandboxPhase } from "../../src/wire/openshell-v1/Generated.ts"
import { GatewayDouble } from "../client/GatewayDouble.ts"
import { eventually } from "../kit/Until.ts"
import { finished, holdfast, start } from "./Launch.ts"

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
