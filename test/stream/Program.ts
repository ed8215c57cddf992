/** Random programs for the simulation: what applications do, what the network does, and time. */
import fc from "fast-check"
import type { StreamSettings } from "../../src/stream/core/State.ts"
import type { Side } from "./SimulatedWire.ts"
import { type Simulation, smallSettings } from "./Simulation.ts"

type Action =
  | { readonly do: "write" | "consume" | "pump"; readonly side: Side; readonly amount: number }
  | { readonly do: "end" | "abort" | "move"; readonly side: Side }
  | { readonly do: "deliver"; readonly wire: number; readonly side: Side; readonly amount: number }
  | { readonly do: "notice"; readonly wire: number; readonly side: Side }
  | { readonly do: "cut" | "swallow" | "repeatHello"; readonly wire: number }
  | { readonly do: "opened"; readonly succeeds: boolean }
  | { readonly do: "accept" }
  | { readonly do: "exchange"; readonly without: number }
  | { readonly do: "advance"; readonly ms: number }

const side = fc.constantFrom<Side>("client", "server")
/** Counted from the newest: programs mostly meet the carriers that matter. */
const wire = fc.nat({ max: 3 })

const action = (kinds: { readonly abort: boolean; readonly longestMs: number }): fc.Arbitrary<Action> => {
  const amount = fc.integer({ min: 1, max: 40 })
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant("write" as const), side, amount }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("consume" as const), side, amount }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("pump" as const),
        side,
        amount: fc.integer({ min: 1, max: 6 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("deliver" as const),
        wire,
        side,
        amount: fc.integer({ min: 1, max: 160 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("exchange" as const), without: fc.constantFrom(0, 0, 1) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), side }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("cut" as const), wire }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("swallow" as const), wire }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("notice" as const), wire, side }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("repeatHello" as const), wire }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("opened" as const), succeeds: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("move" as const), side }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("accept" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("advance" as const),
        ms: fc.integer({ min: 1, max: kinds.longestMs }),
      }),
    },
    ...(kinds.abort
      ? [{ weight: 1, arbitrary: fc.record({ do: fc.constant("abort" as const), side }) }]
      : []),
  )
}

/** Long enough that most programs see several carriers; time is counted so that `faults` stay in the window. */
const length = { minLength: 10, maxLength: 120, size: "max" } as const

/** Limits in any relation to each other. */
export const settings: fc.Arbitrary<StreamSettings> = fc.oneof(
  fc.constant(smallSettings),
  fc
    .record({
      replayBytes: fc.integer({ min: 1, max: 100 }),
      receiveBytes: fc.integer({ min: 1, max: 100 }),
      chunkBytes: fc.integer({ min: 1, max: 30 }),
      earlyBytes: fc.integer({ min: 0, max: 20 }),
      ackBytes: fc.integer({ min: 1, max: 120 }),
    })
    .map((one) => ({ ...smallSettings, ...one, earlyBytes: Math.min(one.earlyBytes, one.receiveBytes) })),
)

export type Program = ReadonlyArray<Action>

/** Programs that never leave a stream without a carrier for a whole resume window. */
export const faults = fc.array(action({ abort: false, longestMs: 400 }), length)

/** The same with ends that give up. */
export const aborts = fc.array(action({ abort: true, longestMs: 400 }), length)

/** Programs in which the resume window passes now and then. */
export const outages = fc.array(action({ abort: false, longestMs: 50_000 }), length)

export const run = (simulation: Simulation, program: Program): void => {
  for (const one of program) perform(simulation, one)
}

const perform = (simulation: Simulation, one: Action): void => {
  const newest = simulation.wires.length - 1
  switch (one.do) {
    case "write":
    case "consume":
    case "pump":
      simulation[one.do](one.side, one.amount)
      return
    case "end":
      simulation.end(one.side)
      return
    case "abort":
      simulation.apply(one.side, { type: "abort", code: "cancelled", text: "given up" })
      return
    case "deliver":
      simulation.deliver(newest - one.wire, one.side, one.amount)
      return
    case "notice": {
      const at = newest - one.wire
      const dead = simulation.wires[at]
      if (dead?.cut === true) simulation.notice(at, one.side)
      return
    }
    case "cut":
    case "swallow":
      simulation[one.do](newest - one.wire)
      return
    case "repeatHello":
      simulation.repeatHello(simulation.hellos.length - 1 - one.wire)
      return
    case "opened":
      simulation.opened(one.succeeds)
      return
    case "move":
      simulation.apply(one.side, { type: "move" })
      return
    case "accept":
      simulation.apply("server", { type: "accept" })
      return
    case "exchange":
      exchange(simulation, one.without)
      return
    case "advance":
      simulation.advance(one.ms)
  }
}

/** A little of everything, as a network in order would do; during a move, on all carriers but the newest. */
const exchange = (simulation: Simulation, without: number): void => {
  if (without > 0) simulation.apply("client", { type: "move" })
  simulation.opened(true)
  simulation.apply("server", { type: "accept" })
  for (const one of ["client", "server", "client"] as const) {
    simulation.pump(one, 4)
    for (let index = 0; index < simulation.wires.length - without; index += 1) {
      simulation.deliver(index, "server", 120)
      simulation.deliver(index, "client", 120)
    }
    simulation.consume(one, 4)
  }
}
