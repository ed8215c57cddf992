import { Command } from "commander"
import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { parseForwardSpec } from "../../src/cli/Arguments.ts"
import { buildProgram, type CliDependencies, type DrillOptions, type UpOptions } from "../../src/cli/Cli.ts"
import { globalsFrom, invocationOf } from "../../src/cli/Invocation.ts"
import { runHere } from "./InProcess.ts"

interface Seen {
  gateway?: Readonly<Record<string, string>>
  supervisor?: ReadonlyArray<string>
  up?: UpOptions
  drill?: DrillOptions
}

const spy = (seen: Seen): CliDependencies => ({
  runGateway: async (options) => {
    seen.gateway = options
    return Effect.succeed(41)
  },
  runSupervisor: async (argv) => {
    seen.supervisor = argv
    return Effect.succeed(42)
  },
  runUp: async (options) => {
    seen.up = options
    return Effect.succeed(43)
  },
  runDrill: async (options) => {
    seen.drill = options
    return Effect.succeed(44)
  },
})

/** Runs a command line without its words on this process's streams. */
const run = async (...argv: ReadonlyArray<string>) => {
  const seen: Seen = {}
  const { code, stdout, stderr } = await runHere(argv, spy(seen))
  return { code, seen, text: `${stdout}${stderr}` }
}

describe("the command line", () => {
  it.each([
    [["nonsense"]],
    [["sandbox", "get"]],
    [["sandbox", "list", "--limit", "0"]],
    [["sandbox", "list", "-l", "a!=b"]],
    [["sandbox", "create", "x", "--env", "novalue"]],
    [["forward", "demo", "99999"]],
    [["forward", "demo"]],
    [["logs", "demo", "--since", "yesterday"]],
    [["logs", "demo", "--source", "kernel"]],
    [["completions", "tcsh"]],
    [["-o", "yaml", "version"]],
    [["--timeout", "soon", "version"]],
    [["sandbox", "exec", "demo", "word", "--", "cmd"]],
    [["up", "--replicas", "0"]],
  ])("refuses %j with exit code 2", async (argv) => {
    const { code, text } = await run(...argv)
    expect(code).toBe(2)
    expect(text).toMatch(/^error: /)
    expect(text).not.toContain("    at ")
  })

  it("shows help with exit code 0, with the options that every command has", async () => {
    const { code, text } = await run("sandbox", "list", "--help")
    expect(code).toBe(0)
    expect(text).toContain("--selector")
    expect(text).toContain("--gateway")
  })

  it("hands the supervisor its arguments unparsed", async () => {
    const { code, seen } = await run("supervisor", "--mode", "process", "--", "bash", "-l")
    expect(code).toBe(42)
    expect(seen.supervisor).toEqual(["--mode", "process", "--", "bash", "-l"])
  })

  it("hands the gateway the settings that were given, by their names", async () => {
    const { code, seen } = await run("gateway", "run", "--name", "a", "--peer-listen", "127.0.0.1:1")
    expect(code).toBe(41)
    expect(seen.gateway).toEqual({ name: "a", peerListen: "127.0.0.1:1" })
  })

  it("hands the gateway the configuration file", async () => {
    const { seen } = await run("gateway", "run", "--config", "/etc/holdfast.toml")
    expect(seen.gateway).toEqual({ config: "/etc/holdfast.toml" })
  })

  it("checks settings and prints them, with an exit code and as JSON", async () => {
    const missing = ["--config", "/nowhere/holdfast.toml"]
    const bad = await run("gateway", "config", "check", ...missing)
    expect(bad.code).toBe(2)
    expect(bad.text).toContain("/nowhere/holdfast.toml: the configuration file cannot be read")
    const json = await run("gateway", "config", "check", "-o", "json", ...missing)
    expect(JSON.parse(json.text)).toMatchObject({ ok: false, file: "/nowhere/holdfast.toml" })
    const whole = ["--database-url", "sqlite:x", "--peer-ca", "a", "--peer-cert", "b", "--peer-key", "c"]
    const good = ["--jwt-dir", "j", "--name", "r1", ...whole]
    expect(await run("gateway", "config", "check", ...good)).toMatchObject({
      code: 0,
      text: "the settings: ok\n",
    })
    const printed = await run("gateway", "config", "print", ...good)
    expect(printed.code).toBe(0)
    expect(printed.text).toMatch(/holdfast\.name +r1 +--name\n/)
    expect(printed.text).toMatch(/holdfast\.fence_ms +5000 +default\n/)
  })

  it("hands `up` its options with their defaults", async () => {
    const defaults = {
      replicas: 3,
      port: 17_670,
      stateDirectory: ".holdfast",
      once: false,
      sqlite: false,
      json: false,
    }
    expect((await run("up")).seen.up).toEqual(defaults)
    const { code, seen } = await run("up", "--replicas", "5", "--state", "x", "--once", "--sqlite", "--json")
    expect(code).toBe(43)
    expect(seen.up).toEqual({
      ...defaults,
      replicas: 5,
      stateDirectory: "x",
      once: true,
      sqlite: true,
      json: true,
    })
  })

  it("passes the drill's scenario and options on", async () => {
    const { code, seen } = await run("drill", "roll")
    expect(code).toBe(44)
    const defaults = { scenario: "roll", local: false, stateDirectory: ".holdfast", idle: 0, forMs: 60_000 }
    expect(seen.drill).toMatchObject({ ...defaults, quick: false, json: false, by: undefined })
    const options = [
      "--local",
      "--quick",
      "--streams",
      "200",
      "--idle",
      "1000",
      "--for",
      "5s",
      "--by",
      "proxy",
    ]
    expect((await run("drill", "watch", ...options)).seen.drill).toMatchObject({
      ...{ scenario: "watch", local: true, quick: true, streams: 200, idle: 1_000 },
      ...{ forMs: 5_000, by: "proxy", json: false },
    })
    expect((await run("drill", "roll", "-o", "json")).seen.drill).toMatchObject({ json: true })
  })
})

describe("global options", () => {
  it("win over the environment, which wins over the defaults", () => {
    expect(globalsFrom({}, {})).toMatchObject({
      gateway: "http://127.0.0.1:17670",
      workspace: "default",
      output: "table",
    })
    const environment = {
      HOLDFAST_GATEWAY: "http://h:1",
      OPENSHELL_GATEWAY_ENDPOINT: "http://o:1",
      OPENSHELL_WORKSPACE: "w",
    }
    expect(globalsFrom({}, environment)).toMatchObject({ gateway: "http://h:1", workspace: "w" })
    expect(globalsFrom({}, { OPENSHELL_GATEWAY_ENDPOINT: "http://o:1" }).gateway).toBe("http://o:1")
    expect(globalsFrom({ gateway: "http://f:1", workspace: "x" }, environment)).toMatchObject({
      gateway: "http://f:1",
      workspace: "x",
    })
  })
})

describe("words after --", () => {
  const parse = (...argv: ReadonlyArray<string>) => {
    const command = new Command("exec").argument("<name>").argument("[command...]").option("-t, --tty")
    command.parse(argv, { from: "user" })
    return invocationOf(command, argv, {})
  }
  it("belong to the command, whatever they look like", () => {
    expect(parse("demo", "-t", "--", "ls", "-t", "--", "x")).toMatchObject({
      operands: ["demo"],
      trailing: ["ls", "-t", "--", "x"],
      options: { tty: true },
    })
    expect(parse("demo", "--")).toMatchObject({ operands: ["demo"], trailing: [] })
  })
})

describe("a forward", () => {
  it.each([
    ["80", { host: undefined, localPort: 80, remotePort: 80 }],
    ["8080:80", { host: undefined, localPort: 8080, remotePort: 80 }],
    [":80", { host: undefined, localPort: 0, remotePort: 80 }],
    ["0.0.0.0:8080:80", { host: "0.0.0.0", localPort: 8080, remotePort: 80 }],
    ["[::1]:8080:80", { host: "::1", localPort: 8080, remotePort: 80 }],
    ["localhost::80", { host: "localhost", localPort: 0, remotePort: 80 }],
  ])("is written as %s", (text, expected) => expect(parseForwardSpec(text)).toEqual(expected))

  it.each(["", "0", "65536", "80:0", "a:b", "::80:80", "1:2:3:4"])("is not written as %j", (text) =>
    expect(parseForwardSpec(text)).toBeUndefined(),
  )
})

describe("the tree", () => {
  it("describes every command, option and argument", () => {
    const visit = (command: Command): void => {
      expect(command.description(), command.name()).not.toBe("")
      for (const option of command.options) expect(option.description, option.flags).not.toBe("")
      for (const argument of command.registeredArguments)
        expect(argument.description, argument.name()).not.toBe("")
      for (const child of command.commands) visit(child)
    }
    visit(buildProgram(spy({})))
  })
})
