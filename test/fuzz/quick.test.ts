/** A few thousand frames of `bun run fuzz` in every check. */
import { expect, it } from "vitest"
import { fuzz } from "./Fuzz.ts"

it("survives some thousand random and spoiled frames: no crash, no hang, flat memory, and it still serves", async () => {
  const report = await fuzz({ frames: 4_000, seed: 20_261_120, say: () => {}, quietMs: 1_000 })
  expect(report.problems).toEqual([])
  expect(report.crashes + report.hangs).toBe(0)
  expect(report.frames).toBeGreaterThanOrEqual(4_000)
  for (const method of ["ConnectSupervisor", "RelayStream", "ForwardTcp", "PushSandboxLogs", "WatchSandbox"])
    expect(report.statuses[method], method).toBeDefined()
}, 120_000)
