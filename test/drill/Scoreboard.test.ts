import { describe, expect, it } from "@effect/vitest"
import { Checker } from "../../src/drill/check/Checker.ts"
import { randomContent } from "../../src/drill/check/Content.ts"
import type { StreamReport } from "../../src/drill/load/Load.ts"
import { Sender } from "../../src/drill/load/Sender.ts"
import { Tally } from "../../src/drill/load/Tally.ts"
import { scenarioNames } from "../../src/drill/scenarios/Names.ts"
import { percentile, relativeSkew, spreadOf } from "../../src/drill/score/Figures.ts"
import { render } from "../../src/drill/score/Render.ts"
import { type Measured, scoreboard } from "../../src/drill/score/Scoreboard.ts"
import { judge, thresholdsTable } from "../../src/drill/score/Thresholds.ts"

const content = randomContent(1)

/** A stream of 1,000 bytes, of which those between are left out. */
const streamThatLost = (bytes: number, stallMs: number): StreamReport => {
  const tally = new Tally()
  const sender = new Sender(content)
  const checker = new Checker(content)
  const sent = sender.piece(1_000)
  checker.push(Buffer.concat([sent.subarray(0, 400), sent.subarray(400 + bytes)]))
  tally.whole(checker, sender.sent, sender.sha256())
  return { kind: "echo", counts: tally.counts(), endings: tally.endings, stallMs, latenciesMs: [] }
}

const measured = (streams: ReadonlyArray<StreamReport>): Measured => ({
  setting: {
    scenario: "kill-holder",
    wire: "holdfast",
    quick: true,
    seed: 1,
    replicas: 3,
    sandboxes: 3,
    idleSessions: 0,
    tls: false,
  },
  date: "2026-01-01T00:00:00.000Z",
  seconds: 12.345,
  streams,
  opens: [{ atMs: 0, replica: "replica-1", tookMs: 50, error: undefined }],
  windowAtMs: 0,
  ownership: { answers: 10, double: 0, stale: 0 },
  moves: 2,
  found: {
    ...{ convergeMs: 900.2, skew: undefined, moveRatio: undefined, cost: undefined },
    ...{ losses: [], marks: [], failures: [] },
  },
  residentMb: 100,
  loopDelay: { p99Ms: 1, maxMs: 2 },
})

const kill = thresholdsTable["kill-holder"]

describe("the scoreboard", () => {
  it("misses nothing when nothing was lost", () => {
    const board = scoreboard(measured([streamThatLost(0, 100)]), kill)
    expect(board.missed).toEqual([])
    expect(board).toMatchObject({ convergeMs: 901, stallMs: { max: 100 }, streams: { echo: 1, total: 1 } })
  })

  it("names lost bytes, and the hash that differs", () => {
    const board = scoreboard(measured([streamThatLost(0, 100), streamThatLost(37, 100)]), kill)
    expect(board.bytes).toMatchObject({ received: 1_963, lost: 37, hashMismatches: 1 })
    expect(board.missed).toEqual(["wrong bytes 38 (at most 0)"])
  })

  it("names a stall that is too long", () => {
    const board = scoreboard(measured([streamThatLost(0, 3_001)]), kill)
    expect(board.missed).toEqual(["longest stall 3001 ms (at most 3000 ms)"])
  })

  it("counts streams that broke, operations that failed and opens that were refused", () => {
    const tally = new Tally()
    tally.works()
    tally.broken("echo: cut")
    tally.failedOperation("exec: cut")
    tally.operation()
    const broken: StreamReport = {
      ...{ counts: tally.counts(), endings: tally.endings, stallMs: undefined, latenciesMs: [5] },
      kind: "exec",
    }
    const opens = [
      { atMs: 0, replica: "replica-1", tookMs: 700, error: "Unavailable: later" },
      { atMs: 0, replica: "replica-1", tookMs: 1_700, error: "Internal: broken" },
    ]
    const board = scoreboard({ ...measured([broken]), opens }, kill)
    expect(board.errors).toMatchObject({ total: 4, streams: 1, operations: 1, opens: 2 })
    expect(board.refusals).toMatchObject({ maxMs: 1_700, final: 1 })
    expect(board.missed).toHaveLength(3)
  })

  it("calls a stream that could not be opened an operation that failed", () => {
    const tally = new Tally()
    tally.works()
    tally.broken("echo: cut")
    tally.begin()
    tally.broken("echo: refused")
    expect(tally.counts()).toMatchObject({ brokenStreams: 1, failedOperations: 1 })
  })

  it("misses what was not reached, and what kept the scenario from its end", () => {
    const { found } = measured([])
    const failures = ["not whole"]
    const board = scoreboard(
      { ...measured([]), found: { ...found, convergeMs: undefined, failures } },
      thresholdsTable["db-away"],
    )
    expect(board.missed).toEqual(["not whole", "time to converge not reached (at most 5000 ms)"])
  })

  it("prints every part", () => {
    const text = render(scoreboard(measured([streamThatLost(1, 100)]), kill), false)
    for (const part of ["Errors", "Bytes", "Stall", "Opens", "Owners", "MISSED wrong bytes 2"]) {
      expect(text).toContain(part)
    }
  })
})

describe("thresholds", () => {
  it("exist for every scenario, each with its reason", () => {
    for (const name of scenarioNames) {
      expect(thresholdsTable[name].length).toBeGreaterThan(0)
      for (const { reason } of thresholdsTable[name]) expect(reason).not.toBe("")
    }
  })

  it("are met by a value that equals them", () => {
    const figures = { ...noFigures, stallMaxMs: 3_000 }
    const judgements = judge([{ metric: "stallMaxMs", most: 3_000, reason: "" }], figures)
    expect(judgements).toMatchObject([{ met: true, value: 3_000 }])
  })
})

describe("figures", () => {
  it("take percentiles by nearest rank", () => {
    const values = Array.from({ length: 100 }, (_, index) => index + 1)
    expect(percentile(values, 0.5)).toBe(50)
    expect(percentile(values, 0.99)).toBe(99)
    expect(spreadOf([])).toEqual({ count: 0, p50: 0, p99: 0, max: 0 })
  })

  it("call loads even that could not be more so", () => {
    expect(relativeSkew([2, 1])).toBe(1)
    expect(relativeSkew([3, 0])).toBe(1.5)
    expect(relativeSkew([0, 0])).toBe(1)
  })
})

const noFigures = {
  ...{ brokenStreams: 0, failedOperations: 0, failedOpens: 0, wrongBytes: 0, stallP99Ms: 0, stallMaxMs: 0 },
  ...{ untimelyEnds: 0, otherEnds: 0, refusedCalls: 0, hangs: 0 },
  ...{ openP99Ms: 0, openMaxMs: 0, refusalMaxMs: 0, finalRefusals: 0, doubleOwners: 0, staleAnswers: 0 },
  ...{ convergeMs: 0, skew: 1, moveRatio: 1, residentMb: 0 },
  ...{ idleMb: 0, cpuPercent: 0, transactionsPerSecond: 0 },
}
