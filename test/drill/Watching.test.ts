import { describe, expect, it } from "@effect/vitest"
import { Ownership } from "../../src/drill/check/Ownership.ts"
import { StallMeter } from "../../src/drill/check/StallMeter.ts"

describe("the stall of a stream", () => {
  it("is its longest wait for something that is due", () => {
    const meter = new StallMeter()
    meter.expect(0)
    meter.progress(100)
    meter.progress(450)
    meter.satisfied(500)
    expect(meter.maxMs(10_000)).toBe(350)
  })

  it("is nothing while nothing is due", () => {
    const meter = new StallMeter()
    meter.expect(0)
    meter.satisfied(5)
    meter.progress(9_000)
    expect(meter.maxMs(10_000)).toBe(5)
  })

  it("counts a wait that has not ended", () => {
    const meter = new StallMeter()
    meter.expect(1_000)
    expect(meter.maxMs(4_000)).toBe(3_000)
  })

  it("begins with the fault when the wait began before", () => {
    const meter = new StallMeter()
    meter.expect(0)
    meter.progress(900)
    meter.beginWindow(1_000)
    meter.progress(1_200)
    expect(meter.maxMs(1_200)).toBe(200)
  })
})

describe("the watch over owners", () => {
  const answer = { shard: 7, owner: "a", epoch: 3, askedAtMs: 0, answeredAtMs: 10 }

  it("finds two owners of one shard in one epoch", () => {
    const ownership = new Ownership()
    ownership.add(answer)
    ownership.add({ ...answer, owner: "b" })
    expect(ownership).toMatchObject({ answers: 2, double: 1, stale: 0 })
  })

  it("finds an answer below an epoch that was known before it was asked for", () => {
    const ownership = new Ownership()
    ownership.add({ ...answer, owner: "b", epoch: 4, answeredAtMs: 20 })
    ownership.add({ ...answer, askedAtMs: 30, answeredAtMs: 40 })
    expect(ownership).toMatchObject({ double: 0, stale: 1 })
  })

  it("accepts an old answer to a question from before the takeover was known", () => {
    const ownership = new Ownership()
    ownership.add({ ...answer, owner: "b", epoch: 4, answeredAtMs: 20 })
    ownership.add({ ...answer, askedAtMs: 15, answeredAtMs: 40 })
    expect(ownership.stale).toBe(0)
  })

  it("keeps shards apart", () => {
    const ownership = new Ownership()
    ownership.add({ ...answer, epoch: 9 })
    ownership.add({ ...answer, shard: 8, owner: "b", askedAtMs: 30 })
    expect(ownership).toMatchObject({ double: 0, stale: 0 })
  })
})
