import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Core, makeCore } from "../../src/stream/core/Core.ts"
import { type Rules, soundRules } from "../../src/stream/core/Rules.ts"
import type { StreamSettings } from "../../src/stream/core/State.ts"
import { aborts, faults, outages, type Program, run, settings } from "./Program.ts"
import { sides } from "./SimulatedWire.ts"
import { Simulation } from "./Simulation.ts"

const sound = makeCore()

type Property = (core: Core, program: Program, limits: StreamSettings) => void

const finishes: Property = (core, program, limits) => {
  const simulation = new Simulation(core, limits)
  run(simulation, program)
  simulation.settle()
  const { client, server } = simulation.ends
  expect([client.outcome, server.outcome]).toEqual([{ _tag: "Finished" }, { _tag: "Finished" }])
  expect([server.consumed, client.consumed]).toEqual([client.written, server.written])
  expect([client.endDelivered, server.endDelivered]).toEqual([true, true])
}

/** With outages: whichever end says that all arrived is right, and otherwise both lost it. */
const ends: Property = (core, program, limits) => {
  const simulation = new Simulation(core, limits)
  run(simulation, program)
  simulation.settle()
  const { client, server } = simulation.ends
  const outcomes = [client.outcome?._tag, server.outcome?._tag]
  if (outcomes.includes("Finished"))
    expect([server.consumed, client.consumed]).toEqual([client.written, server.written])
  else if (server.state.attach > 0) expect(outcomes).toEqual(["Lost", "Lost"])
  else expect(client.outcome?._tag).toBe("Lost")
}

describe("a resumable stream", () => {
  it("delivers every byte once and in order, whatever happens to its carriers", () => {
    fc.assert(
      fc.property(faults, settings, (program, limits) => finishes(sound, program, limits)),
      { numRuns: 1_000 },
    )
  })

  it("is reset at both ends when one gives up, unless all had arrived", () => {
    fc.assert(
      fc.property(aborts, settings, (program, limits) => {
        const simulation = new Simulation(sound, limits)
        run(simulation, program)
        simulation.settle()
        const { client, server } = simulation.ends
        const outcomes = [client.outcome?._tag, server.outcome?._tag]
        if (server.state.attach === 0) {
          expect(["Reset", "Finished"]).toContain(outcomes[0])
        } else if (outcomes.includes("Finished")) {
          // An end may give up before it learns that it need not have.
          expect([server.consumed, client.consumed]).toEqual([client.written, server.written])
        } else {
          // A hello that was long under way may make a stream that its client has left.
          const left = !client.state.welcomed && server.state.outcome?._tag === "Lost"
          expect(outcomes).toEqual(["Reset", left ? "Lost" : "Reset"])
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it("is lost at both ends when the resume window passes, unless all had arrived", () => {
    fc.assert(
      fc.property(outages, settings, (program, limits) => ends(sound, program, limits)),
      { numRuns: 1_000 },
    )
  })
})

describe("a carrier that is cut", () => {
  /** A conversation with half-closes, one byte at a time; the current carrier is cut after `cuts` bytes each. */
  const converse = (cuts: ReadonlyArray<number>): Simulation => {
    const simulation = new Simulation(sound)
    simulation.opened(true)
    let crossed = 0
    let next = 0
    for (let turn = 0; turn < 700; turn += 1) {
      simulation.opened(true)
      simulation.apply("server", { type: "accept" })
      if (turn % 10 === 0) {
        simulation.write("client", 7)
        simulation.write("server", 5)
      }
      if (turn === 300) simulation.end("client")
      if (turn === 400) simulation.end("server")
      for (const side of sides) {
        simulation.pump(side, 1)
        simulation.deliver(simulation.wires.length - 1, side, 1)
        simulation.consume(side, 1)
        crossed += 1
        if (crossed === cuts[next]) {
          next += 1
          const newest = simulation.wires.length - 1
          simulation.cut(newest)
          simulation.notice(newest, "client")
          simulation.notice(newest, "server")
        }
      }
    }
    simulation.settle()
    return simulation
  }

  const expectFinished = ({ ends: { client, server } }: Simulation): void => {
    expect([client.outcome, server.outcome]).toEqual([{ _tag: "Finished" }, { _tag: "Finished" }])
    expect([server.consumed, client.consumed]).toEqual([client.written, server.written])
  }

  it("costs no byte at whichever byte it is cut", () => {
    for (let cut = 1; cut < 1_400; cut += 1) expectFinished(converse([cut]))
  })

  it("costs no byte when the next one is cut as well, at any distance", () => {
    for (let distance = 1; distance < 160; distance += 1)
      expectFinished(converse([200, 200 + distance, 200 + 2 * distance, 200 + 3 * distance]))
  })
})

/** Mistakes that a stream like this invites; each is found within 1,000 programs. */
const mistakes: ReadonlyArray<readonly [name: string, broken: Partial<Rules>]> = [
  ["goes on where it stopped instead of where the peer is", { resumeAt: ({ sent }) => sent }],
  ["sends again from what was acknowledged, not from what is wanted", { resumeAt: ({ acked }) => acked }],
  [
    "forgets the end on a resume",
    { resumeAt: ({ next, acked, final }) => (next === final ? final + 1 : Math.max(next, acked)) },
  ],
  ["resumes below what a faster carrier acknowledged", { resumeAt: ({ next }) => next }],
  ["gets stuck before what was acknowledged while it sent it again", { skipTo: (sent) => sent }],
  ["acknowledges before the application consumed", { acknowledged: (_, received) => received }],
  ["delivers duplicates", { duplicateBytes: () => 0 }],
  ["lets a stale carrier take the stream", { admits: () => true }],
  ["listens to a carrier that was replaced", { listens: () => true }],
  ["keeps an unbounded replay buffer", { room: () => 1_000 }],
  ["sends without credit", { credit: () => Number.MAX_SAFE_INTEGER }],
  ["never gives up", { expired: () => false }],
  ["gives up too early", { expired: (sinceMs, nowMs) => nowMs - sinceMs >= 500 }],
  ["refuses a peer that wants what it sent", { mayWant: (next, sent) => next < sent }],
]

describe("the properties notice a core that", () => {
  it.each(mistakes)("%s", (_, broken) => {
    const core = makeCore({ ...soundRules, ...broken })
    const fails = (arbitrary: typeof faults, holds: Property): boolean =>
      fc.check(
        fc.property(arbitrary, settings, (program, limits) => holds(core, program, limits)),
        { numRuns: 1_000, seed: 1, endOnFailure: true },
      ).failed
    expect(fails(faults, finishes) || fails(outages, ends)).toBe(true)
  })
})
