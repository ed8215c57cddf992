import { execFile } from "node:child_process"
import path from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { median, medianRatio, percentile, spread } from "./Stats.ts"

const Figures = Schema.Record({ key: Schema.String, value: Schema.Number })
const Report = Schema.parseJson(
  Schema.Struct({
    failures: Schema.Array(Schema.String),
    rows: Schema.Array(
      Schema.Struct({ group: Schema.String, name: Schema.String, way: Schema.String, values: Figures }),
    ),
  }),
)

/** A busy machine may need several times the 40 seconds of a quiet one. */
const limitMs = 150_000

const bench = (...args: ReadonlyArray<string>): Promise<{ readonly code: number; readonly stdout: string }> =>
  new Promise((resolve) => {
    const main = path.join(import.meta.dirname, "main.ts")
    const child = execFile(
      process.execPath,
      [main, ...args],
      { timeout: limitMs, maxBuffer: 4 * 1_048_576 },
      (_error, stdout) => resolve({ code: child.exitCode ?? 1, stdout }),
    )
  })

describe("bun run bench", () => {
  it(
    "measures every row, and every way carries what it is given unharmed",
    async () => {
      const { code, stdout } = await bench("--quick", "--json")
      const report = Schema.decodeSync(Report)(stdout)
      expect(report.failures).toEqual([])
      expect(code).toBe(0)
      const waysOf = (group: string) =>
        new Set(report.rows.filter((row) => row.group === group).map(({ way }) => way))
      for (const group of ["open", "roundtrip", "bulk"])
        for (const way of ["local", "peer", "direct TCP"]) expect(waysOf(group)).toContain(way)
      expect(waysOf("failover")).toContain("owner killed, session elsewhere")
      expect(report.rows.filter(({ group }) => group === "control").map(({ name }) => name)).toContain(
        "reads",
      )
      for (const { values } of report.rows)
        for (const value of Object.values(values)) expect(value).toBeGreaterThan(0)
    },
    limitMs,
  )

  it("says what it cannot do", async () => {
    expect(await bench("--only", "nothing")).toMatchObject({ code: 2, stdout: "" })
  })

  it("takes ratios round by round, so that a slow round does not count twice", () => {
    expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3)
    expect(percentile([1, 2, 3, 4], 0.99)).toBe(4)
    expect(median([1, 2, 3, 10])).toBe(2.5)
    expect(medianRatio([2, 20, 2], [1, 10, 2])).toBe(2)
    expect(spread([1, 1, 1, 1])).toBe(0)
  })
})
