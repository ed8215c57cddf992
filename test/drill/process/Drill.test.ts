import { execFile } from "node:child_process"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { mainModule } from "../../../src/domain/Installation.ts"

const Count = Schema.Number
/** The part of the scoreboard that is read here. */
const Board = Schema.parseJson(
  Schema.Struct({
    scenario: Schema.String,
    wire: Schema.String,
    replicas: Count,
    streams: Schema.Struct({ total: Count, echo: Count, shell: Count, http: Count, websocket: Count }),
    errors: Schema.Struct({
      total: Count,
      streams: Count,
      texts: Schema.Array(Schema.Struct({ text: Schema.String, times: Count })),
    }),
    bytes: Schema.Struct({
      ...{ received: Count, lost: Count, duplicated: Count, reordered: Count, corrupted: Count },
      hashMismatches: Count,
    }),
    endings: Schema.Struct({
      atLoss: Count,
      untimely: Count,
      otherwise: Count,
      refused: Count,
      hangs: Count,
    }),
    stallMs: Schema.Struct({ count: Count, max: Count }),
    openMs: Schema.Struct({ count: Count, p99: Count }),
    owners: Schema.Struct({ answers: Count, double: Count, stale: Count }),
    convergeMs: Schema.NullOr(Count),
    faults: Schema.Array(Schema.Struct({ atMs: Count, what: Schema.String })),
    missed: Schema.Array(Schema.String),
  }),
)

interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

const drill = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const all = ["--disable-warning=ExperimentalWarning", mainModule, "drill", ...args]
    execFile(process.execPath, all, { timeout: 100_000, killSignal: "SIGINT" }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    )
  })

describe("holdfast drill", { timeout: 120_000 }, () => {
  it("kills the holder of sessions under load and no stream loses, repeats or reorders a byte", async () => {
    const { code, stdout, stderr } = await drill("kill-holder", "--local", "--quick", "--json")
    const board = Schema.decodeUnknownSync(Board)(stdout)
    expect(board).toMatchObject({ scenario: "kill-holder", replicas: 3 })
    expect(board.faults.map(({ what }) => what).join("\n")).toMatch(/kill -9 of replica-\d/)
    // The load ran through the fault on every kind of stream, and owners and opens were watched.
    expect(board.streams.total).toBe(12)
    expect(board.bytes.received).toBeGreaterThan(10_000)
    expect(board.stallMs.count).toBeGreaterThan(5)
    expect(board.openMs.count).toBeGreaterThan(0)
    expect(board.owners.answers).toBeGreaterThan(0)
    // What must hold on any machine, however slow.
    expect(board.bytes).toMatchObject({
      lost: 0,
      duplicated: 0,
      reordered: 0,
      corrupted: 0,
      hashMismatches: 0,
    })
    expect(board.owners).toMatchObject({ double: 0, stale: 0 })
    expect(board.errors.texts.filter(({ text }) => !text.startsWith("open:"))).toEqual([])
    expect(board.errors.streams).toBe(0)
    expect(board.convergeMs).not.toBeNull()
    // Speed may miss its aim on a busy machine; then the exit code says so, and what.
    expect(code, stderr).toBe(board.missed.length === 0 ? 0 : 1)
  })

  it("kills the holder of sessions of OpenShell's wire: relays end with it, with UNAVAILABLE, and nothing hangs", async () => {
    const args = ["kill-holder", "--local", "--quick", "--json", "--wire", "openshell"]
    const { code, stdout, stderr } = await drill(...args)
    const board = Schema.decodeUnknownSync(Board)(stdout)
    expect(board).toMatchObject({ scenario: "kill-holder", wire: "openshell" })
    // Its relays really were as durable as the replica.
    expect(board.endings.atLoss).toBeGreaterThan(0)
    expect(board.endings, stdout).toMatchObject({ untimely: 0, otherwise: 0, hangs: 0 })
    expect(board.bytes).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, corrupted: 0 })
    expect(board.owners).toMatchObject({ double: 0, stale: 0 })
    expect(board.convergeMs).not.toBeNull()
    expect(code, stderr).toBe(board.missed.length === 0 ? 0 : 1)
  })

  it("plays OpenShell's wire in a cluster of its own alone, and only where relays are judged for it", async () => {
    const { code, stderr } = await drill("freeze", "--local", "--wire", "openshell")
    expect(code, stderr).toBe(75)
    expect(stderr).toContain("roll, kill-owner, kill-holder, kill-both")
  })

  it("says what to do when no cluster runs", async () => {
    const { code, stderr } = await drill("roll", "--state", "/nonexistent")
    expect(code).toBe(1)
    expect(stderr).toContain("no cluster of `holdfast up` runs on /nonexistent")
    expect(stderr).toContain("--local")
  })

  it("refuses a scenario that does not exist", async () => {
    const { code, stderr } = await drill("earthquake", "--local")
    expect(code).toBe(2)
    expect(stderr).toContain("kill-holder")
  })
})
