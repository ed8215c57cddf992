import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parse } from "../../../src/gateway/config/ConfigFile.ts"
import { lineOf } from "../../../src/gateway/config/Problem.ts"
import { fileKeyOf, settingNames, settingOf } from "../../../src/gateway/SettingsTable.ts"

const values = (text: string) => {
  const { values, problems } = parse(text, "h.toml")
  expect(problems).toEqual([])
  return Object.fromEntries([...values].map(([name, { value }]) => [name, value]))
}

const problems = (text: string) => parse(text, "h.toml").problems.map(lineOf)

describe("the configuration file", () => {
  it("has a key for every setting but the secret ones", () => {
    const open = settingNames.filter((name) => settingOf(name).secret !== true)
    const text = open.map((name) => `${fileKeyOf(name).join(".")} = "x-${name}"\n`).join("")
    expect(values(text)).toEqual(Object.fromEntries(open.map((name) => [name, `x-${name}`])))
    expect(new Set(settingNames.map((name) => fileKeyOf(name).join("."))).size).toBe(settingNames.length)
  })

  it("reads tables, tables in braces and dotted keys alike", () => {
    const whole = { name: "r1", peerListen: "127.0.0.1:1", drainBatch: "7", listen: "a:1,b:2" }
    const head = '[holdfast]\nname = "r1"\nlisten = ["a:1", "b:2"]\n'
    expect(values(`${head}[holdfast.peer]\nlisten = "127.0.0.1:1"\n[holdfast.drain]\nbatch = 7\n`)).toEqual(
      whole,
    )
    expect(values(`${head}peer = { listen = "127.0.0.1:1" }\ndrain.batch = 7\n`)).toEqual(whole)
  })

  it("keeps the line of each value", () => {
    const { values } = parse('# first\n[holdfast]\n\nname = "r1"\n', "h.toml")
    expect(values.get("name")?.source).toEqual({ kind: "file", file: "h.toml", line: 4 })
  })

  it("refuses unknown keys with their line and the nearest known name", () => {
    expect(problems('[holdfast]\nlisten = "a:1"\nlsten = "b:1"\n')).toEqual([
      "h.toml:3: unknown key 'holdfast.lsten'; did you mean 'holdfast.listen'?",
    ])
    expect(problems("[holdfast]\npeer_listen = 1\n")[0]).toContain("'holdfast.peer.listen'?")
    expect(problems("[holdfast]\nfence-ms = 1\n")[0]).toContain("'holdfast.fence_ms'?")
    expect(problems("[holdfast]\nfenceMs = 1\n")[0]).toContain("'holdfast.fence_ms'?")
    expect(problems("name = 1\n")[0]).toContain("'holdfast.name'?")
    expect(problems("[holdfast]\nwhatever = 1\n")).toEqual(["h.toml:2: unknown key 'holdfast.whatever'"])
    expect(problems("[holdfast.pear]\nx = 1\n")).toEqual([
      "h.toml:1: unknown table [holdfast.pear]; did you mean [holdfast.peer]?",
    ])
    expect(problems("[openshell.gateway]\n")).toEqual([
      "h.toml:1: this table is OpenShell's; the settings of Holdfast stand in [holdfast]",
    ])
    expect(problems("[[holdfast]]\n")[0]).toContain("stands once")
  })

  it("names every problem, not the first only", () => {
    expect(problems('[holdfast]\na = 1\nname = ""\nlisten = ["x,y"]\nfence_ms = 1.5\n')).toHaveLength(4)
  })

  it("refuses a secret, says where it belongs, and does not repeat it", () => {
    const [problem = ""] = problems('[holdfast]\ndatabase_url = "postgres://u:hunter2@h/d"\n')
    expect(problem).toContain("set HOLDFAST_DATABASE_URL or --database-url instead")
    expect(problem).not.toContain("hunter2")
  })

  it("says where a text stops being TOML", () => {
    expect(problems('[holdfast]\nname = "r1\n')[0]).toMatch(/^h\.toml:2:\d+: /)
    expect(problems('[holdfast]\nname = "a"\nname = "b"\n')[0]).toMatch(/^h\.toml:3:1: /)
  })

  it("answers any text with values or problems, and never with a fault", () => {
    const line = fc.constantFrom(
      "[holdfast]",
      "name = 1",
      "a.b = {c = 2}",
      '"x',
      "[[a]]",
      "= =",
      "[holdfast.peer]",
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(line).map((lines) => lines.join("\n")),
        ),
        (text) => {
          const read = parse(text, "h.toml")
          for (const { where } of read.problems) expect(where).toMatch(/^h\.toml:\d+/)
        },
      ),
    )
  })
})
