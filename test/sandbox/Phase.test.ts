import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import type { SandboxPhase, SandboxStatus } from "../../src/domain/Sandbox.ts"
import * as Phase from "../../src/sandbox/Phase.ts"

const at = 1_000_000
type Step = (status: SandboxStatus) => SandboxStatus

const steps: Readonly<Record<string, Step>> = {
  attach: (status) => Phase.attached(status, "i-1", at),
  lose: (status) => Phase.sessionLost(status, at),
  grace: (status) => Phase.graceOver(status, at),
  exit: (status) => Phase.exited(status, "i-1", 3, at),
  staleExit: (status) => Phase.exited(status, "i-0", 9, at),
}

const program = fc.array(fc.constantFrom(...Object.keys(steps)), { maxLength: 30 })
const run = (start: SandboxStatus, names: ReadonlyArray<string>) =>
  names.reduce((status, name) => steps[name]?.(status) ?? status, start)

const condition = (status: SandboxStatus, type: string) => status.conditions.find((it) => it.type === type)

describe("phases of a sandbox", () => {
  it("has exactly one Ready condition, and it is True exactly while the phase is Ready", () => {
    fc.assert(
      fc.property(program, (names) => {
        const status = run(Phase.initial(at), names)
        const ready = status.conditions.filter((it) => it.type === "Ready")
        expect(ready).toHaveLength(1)
        expect(ready[0]?.status === "True").toBe(status.phase === "Ready")
      }),
    )
  })

  it("stays Ready when its session is lost, and says so in a condition", () => {
    const lost = Phase.sessionLost(Phase.attached(Phase.initial(at), "i-1", at), at + 1)
    expect(lost.phase).toBe("Ready")
    expect(condition(lost, "SessionConnected")).toMatchObject({ status: "False", reason: "SessionLost" })
  })

  it("becomes Provisioning with the reference's reason once the grace period is over", () => {
    const over = Phase.graceOver(Phase.attached(Phase.initial(at), "i-1", at), at + 1)
    expect(over.phase).toBe("Provisioning")
    expect(condition(over, "Ready")).toMatchObject({ status: "False", reason: "DependenciesNotReady" })
  })

  it("is an error for ever after its main process exited, whatever sessions do", () => {
    fc.assert(
      fc.property(program, (names) => {
        const ended = Phase.exited(Phase.attached(Phase.initial(at), "i-1", at), "i-1", 0, at)
        const later = run(ended, names)
        expect(later.phase).toBe("Error")
        expect(later.exitCode).toBe(0)
      }),
    )
  })

  it("admits no session from the moment it stops until it starts, nor while it is deleted", () => {
    const stopped = [Phase.stopping, Phase.stopped, Phase.deleting]
    const ready = Phase.attached(Phase.initial(at), "i-1", at)
    expect(stopped.map((step) => Phase.admits(step(ready, at)))).toEqual([false, false, false])
    expect(Phase.admits(Phase.starting(Phase.stopped(ready, at), at))).toBe(true)
  })

  it("ignores the exit report of another instance", () => {
    const ready = Phase.attached(Phase.initial(at), "i-2", at)
    expect(Phase.exited(ready, "i-1", 1, at)).toBe(ready)
  })

  it("ignores the exit report of the previous run while it starts again", () => {
    const starting = Phase.starting(Phase.stopped(Phase.attached(Phase.initial(at), "i-1", at), at), at)
    expect(Phase.exited(starting, "i-1", 1, at)).toBe(starting)
  })

  it("is not made Ready by a session in a phase where sessions do not count", () => {
    const ready = Phase.attached(Phase.initial(at), "i-1", at)
    const phases: ReadonlyArray<readonly [SandboxPhase, SandboxStatus]> = [
      ["Stopping", Phase.stopping(ready, at)],
      ["Stopped", Phase.stopped(ready, at)],
      ["Deleting", Phase.deleting(ready, at)],
      ["Error", Phase.failed(ready, "BackendExited", "gone", at)],
    ]
    for (const [phase, status] of phases) expect(Phase.attached(status, "i-9", at).phase).toBe(phase)
  })

  it("keeps the transition time while the status of a condition does not change", () => {
    const first = Phase.attached(Phase.initial(at), "i-1", at + 10)
    const again = Phase.attached(first, "i-1", at + 5_000)
    expect(condition(again, "Ready")?.lastTransitionTime).toBe(condition(first, "Ready")?.lastTransitionTime)
  })

  it("clears the exit code of an earlier run when a session attaches", () => {
    const earlier: SandboxStatus = { ...Phase.initial(at), exitCode: 4 }
    expect(Phase.attached(earlier, "i-1", at).exitCode).toBeUndefined()
  })
})
