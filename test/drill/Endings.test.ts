import { describe, expect, it } from "@effect/vitest"
import { limits } from "../../src/domain/Limits.ts"
import { judgeEndings } from "../../src/drill/check/Endings.ts"

/** A replica was stopped, its drain's deadline came at 10 s, and it was gone a moment later. */
const loss = { fromMs: 10_000, goneMs: 10_200 }
const relay = { startedAtMs: 0, endedAtMs: 10_100, carried: true, text: "echo: reset; Unavailable: dropped" }
const none = { atLoss: 0, untimely: 0, otherwise: 0, refused: 0 }

describe("the ends of plain relays", () => {
  it("are as they must be when they come with the loss of a replica, with UNAVAILABLE", () => {
    expect(judgeEndings([relay], [loss])).toEqual({ ...none, atLoss: 1 })
  })

  it("are untimely before the drain's deadline, and long after it", () => {
    const early = { ...relay, endedAtMs: loss.fromMs - 1 }
    const late = { ...relay, endedAtMs: loss.goneMs + limits.drillEndMs + 1 }
    expect(judgeEndings([early, late], [loss])).toEqual({ ...none, untimely: 2 })
    expect(judgeEndings([relay], [])).toEqual({ ...none, untimely: 1 })
  })

  it("are wrong when nothing says UNAVAILABLE: a cut must not pass for an end", () => {
    const silent = { ...relay, text: "echo: the connection was closed" }
    const cancelled = { ...relay, text: "echo: reset; Unavailable: the server cancelled the call" }
    expect(judgeEndings([silent, cancelled], [loss])).toEqual({ ...none, otherwise: 2 })
  })

  it("count a call as refused unless it was under way when the replica ended", () => {
    const call = { startedAtMs: 9_900, endedAtMs: 10_100, carried: false, text: "exec: Unavailable: lost" }
    const afterwards = { ...call, startedAtMs: loss.goneMs + 1, endedAtMs: loss.goneMs + 50 }
    const before = { ...call, endedAtMs: loss.fromMs - 50 }
    expect(judgeEndings([call, afterwards, before], [loss])).toEqual({ ...none, atLoss: 1, refused: 2 })
    const unnoticed = { ...afterwards, text: "exec: Unavailable: the connection to the server is lost" }
    expect(judgeEndings([unnoticed], [loss])).toEqual({ ...none, atLoss: 1 })
  })
})
