import { describe, expect, it } from "vitest"
import { makeCore } from "../../src/stream/core/Core.ts"
import { initialState, type StreamState } from "../../src/stream/core/State.ts"
import { Simulation, smallSettings } from "./Simulation.ts"

const core = makeCore()

/** A stream whose both ends are attached. */
const attached = (): Simulation => {
  const simulation = new Simulation(core)
  simulation.opened(true)
  simulation.deliver(0, "server", 1_000)
  simulation.apply("server", { type: "accept" })
  simulation.pump("server", 10)
  simulation.deliver(0, "client", 1_000)
  expect(simulation.ends.client.state.current?.ready).toBe(true)
  return simulation
}

describe("a carrier", () => {
  it("is not given up while bytes trickle in, though the application reads none of them", () => {
    const simulation = attached()
    simulation.write("client", 48)
    simulation.pump("client", 10)
    const bytes = simulation.wires[0]?.to.server.bytes.length ?? 0
    expect(bytes).toBeGreaterThan(48)
    for (let byte = 0; byte < bytes; byte += 1) {
      simulation.advance(200)
      simulation.deliver(0, "server", 1)
      simulation.pump("server", 10)
      simulation.deliver(0, "client", 1_000)
    }
    expect(simulation.nowMs).toBeGreaterThan(3 * (smallSettings.probeMs + smallSettings.probeTimeoutMs))
    expect(simulation.opening).toBe(false)
    expect(simulation.ends.client.state.current?.attach).toBe(1)
  })

  it("is given up within probe and timeout when bytes are out and nothing comes back", () => {
    const simulation = attached()
    simulation.write("client", 1)
    simulation.pump("client", 1)
    simulation.advance(smallSettings.probeMs + smallSettings.probeTimeoutMs - 1)
    expect(simulation.opening).toBe(false)
    simulation.advance(1)
    expect(simulation.opening).toBe(true)
  })

  it("is given up as soon when what came back was said before the bytes went out", () => {
    const simulation = attached()
    simulation.write("client", 1)
    simulation.pump("client", 1)
    simulation.deliver(0, "server", 1_000)
    simulation.consume("server", 1)
    simulation.advance(smallSettings.ackDelayMs)
    simulation.pump("server", 10)
    // The acknowledgement of the first byte crosses the second one, which is never heard of.
    simulation.write("client", 1)
    simulation.pump("client", 1)
    simulation.deliver(0, "client", 1_000)
    expect(simulation.ends.client.state.current?.heardMs).toBe(simulation.nowMs)
    simulation.advance(smallSettings.probeMs + smallSettings.probeTimeoutMs)
    expect(simulation.opening).toBe(true)
  })

  /** The client has heard bytes, said that it took them, and owes nothing. */
  const listening = (): Simulation => {
    const simulation = attached()
    simulation.write("server", 8)
    simulation.pump("server", 10)
    simulation.deliver(0, "client", 1_000)
    simulation.consume("client", 8)
    simulation.advance(smallSettings.ackDelayMs)
    simulation.pump("client", 10)
    simulation.deliver(0, "server", 1_000)
    return simulation
  }

  it("is given up by a client that only listens, soon after what it listened to stops", () => {
    const simulation = listening()
    simulation.advance(smallSettings.quietProbeMs)
    simulation.pump("client", 10)
    expect(simulation.opening).toBe(false)
    simulation.advance(smallSettings.probeTimeoutMs)
    expect(simulation.opening).toBe(true)
  })

  it("is asked once when the peer pauses, and then as rarely as any idle one", () => {
    const simulation = listening()
    let asked = 0
    for (let step = 0; step < smallSettings.idleProbeMs / 500; step += 1) {
      simulation.advance(500)
      simulation.pump("client", 10)
      asked += (simulation.wires[0]?.to.server.bytes.length ?? 0) > 0 ? 1 : 0
      simulation.deliver(0, "server", 1_000)
      simulation.pump("server", 10)
      simulation.deliver(0, "client", 1_000)
    }
    expect(asked).toBe(1)
    expect(simulation.opening).toBe(false)
  })

  it("costs an idle stream two small frames per idle interval", () => {
    const simulation = attached()
    let bytes = 0
    const intervals = 20
    for (let step = 0; step < (intervals * smallSettings.idleProbeMs) / 1_000; step += 1) {
      simulation.advance(1_000)
      for (const side of ["client", "server"] as const) {
        simulation.pump(side, 10)
        bytes += simulation.wires[0]?.to[side === "client" ? "server" : "client"].bytes.length ?? 0
        simulation.deliver(0, "client", 1_000)
        simulation.deliver(0, "server", 1_000)
      }
    }
    expect(simulation.ends.client.state.current?.attach).toBe(1)
    expect(bytes).toBeLessThanOrEqual(intervals * 4 * 4)
  })
})

describe("what an end says next", () => {
  it("is an answer before an acknowledgement before a probe before data", () => {
    const ready: StreamState = { ...initialState("server", 0), accepted: true }
    const offer = { mode: "new" as const, attach: 1, next: 0, ack: 0, window: 1_000 }
    let [state] = core.step(ready, { type: "attach", carrier: 1, hello: offer }, 0)
    let nowMs = 0
    const apply = (...events: ReadonlyArray<Parameters<typeof core.step>[1]>) => {
      for (const event of events) [state] = core.step(state, event, nowMs)
    }
    const said = () => {
      const [next, commands] = core.step(state, { type: "pull" }, nowMs)
      state = next
      const [command] = commands
      return command?.type === "send" ? command.frame.type : command?.type
    }
    expect(said()).toBe("welcome")
    apply(
      { type: "write", bytes: Buffer.alloc(500) },
      { type: "frame", carrier: 1, frame: { type: "data", offset: 0, bytes: Buffer.alloc(10) } },
      { type: "consumed", bytes: 10 },
      { type: "frame", carrier: 1, frame: { type: "ping" } },
    )
    nowMs = state.settings.ackDelayMs
    apply({ type: "tick" })
    const current = state.current
    if (current !== undefined) state = { ...state, current: { ...current, pingDue: true } }
    expect([said(), said(), said(), said(), said()]).toEqual(["pong", "ack", "ping", "sendData", undefined])
  })
})
