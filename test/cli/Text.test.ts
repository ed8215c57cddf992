import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatBytes } from "../../src/cli/text/Bytes.ts"
import { wantsColor } from "../../src/cli/text/Color.ts"
import { formatAge, formatDuration, parseDurationMs } from "../../src/cli/text/Duration.ts"
import { printable, renderTable } from "../../src/cli/text/Table.ts"
import { editDistance, nearest } from "../../src/domain/Nearest.ts"

describe("a length of time", () => {
  it.each([
    ["30", 30_000],
    ["1.5", 1_500],
    ["250ms", 250],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["2d", 172_800_000],
  ])("%s is %d ms", (text, expected) => expect(parseDurationMs(text)).toBe(expected))

  it.each(["", "5x", "m5", "-3s", "5 m", "1h 30m", "Infinity"])("%j is none", (text) =>
    expect(parseDurationMs(text)).toBeUndefined(),
  )

  it.each([
    [-5, "0s"],
    [119_999, "119s"],
    [120_000, "2m"],
    [330_000, "5m30s"],
    [3_600_000, "60m"],
    [4 * 3_600_000 + 60_000, "4h1m"],
    [30 * 3_600_000, "30h"],
    [3 * 86_400_000 + 3_600_000, "3d1h"],
    [40 * 86_400_000, "40d"],
  ])("of %d ms is shown as %s", (ageMs, expected) => expect(formatAge(ageMs)).toBe(expected))

  it("is shown in one unit in messages", () => {
    expect([750, 12_300, 300_000].map(formatDuration)).toEqual(["750ms", "12.3s", "5m"])
  })
})

describe("a table", () => {
  const columns = [
    { heading: "NAME", value: (row: { name: string; count: number }) => row.name },
    {
      heading: "COUNT",
      value: (row: { name: string; count: number }) => String(row.count),
      alignRight: true,
    },
  ]

  it("aligns its columns and has no borders and no trailing blanks", () => {
    const rows = [
      { name: "a", count: 5 },
      { name: "longer-name", count: 1_234 },
    ]
    expect(renderTable(rows, columns, { color: false })).toBe(
      "NAME          COUNT\na                 5\nlonger-name    1234\n",
    )
  })

  it("has the same number of lines as rows, whatever the cells contain", () => {
    const row = fc.record({ name: fc.string({ unit: "binary" }), count: fc.nat() })
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const text = renderTable(rows, columns, { color: false, headings: false })
        expect(text.split("\n").length - 1).toBe(rows.length)
      }),
    )
  })

  it("shows control characters of a sandbox instead of obeying them", () => {
    expect(printable("a\u001b[2Jb\u202ec")).toBe("a\\u001b[2Jb\\u202ec")
    expect(printable("tab\tand ünïcode →")).toBe("tab\tand ünïcode →")
  })
})

describe("a suggestion", () => {
  it.each([
    ["dmeo", "demo"],
    ["demo1", "demo"],
    ["de", "demo"],
    ["bulider", "builder"],
  ])("for %s is %s", (wanted, expected) => expect(nearest(wanted, ["builder", "demo", "zzz"])).toBe(expected))

  it("is not made when nothing is near", () => {
    expect(nearest("production", ["demo", "builder"])).toBeUndefined()
    expect(nearest("x", [])).toBeUndefined()
  })

  it("is by a distance that is symmetric and zero only for the same text", () => {
    const word = fc.string({ maxLength: 8 })
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b) === 0).toBe(a === b)
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max([...a].length, [...b].length))
      }),
    )
  })
})

describe("colour", () => {
  const on = (environment: Record<string, string>, isTerminal = true, flag = true) =>
    wantsColor({ environment, isTerminal, flag })
  it("is for terminals, unless NO_COLOR or --no-color say otherwise", () => {
    expect(on({})).toBe(true)
    expect(on({}, false)).toBe(false)
    expect(on({ NO_COLOR: "1" })).toBe(false)
    expect(on({ NO_COLOR: "" })).toBe(true)
    expect(on({ FORCE_COLOR: "1" }, false)).toBe(true)
    expect(on({ FORCE_COLOR: "1" }, true, false)).toBe(false)
    expect(on({ TERM: "dumb" })).toBe(false)
  })
})

describe("byte counts", () => {
  it("have one decimal below ten", () => {
    expect([0, 1_023, 1_024, 1_500_000, 15_000_000_000].map(formatBytes)).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.4 MiB",
      "14 GiB",
    ])
  })
})
