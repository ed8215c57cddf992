import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import * as Admission from "../../src/sandbox/Admission.ts"

type Event =
  | { readonly kind: "open"; readonly token: number; readonly stream: string }
  | { readonly kind: "opened" | "failed" | "closed"; readonly pick: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("open" as const),
      token: fc.nat(9),
      stream: fc.constantFrom("", "", "s1", "s2", "s3", "s4", "s5"),
    }),
  },
  fc.record({
    kind: fc.constantFrom("opened" as const, "failed" as const, "closed" as const),
    pick: fc.nat(),
  }),
)

const nth = (keys: ReadonlyArray<string>, pick: number) => keys[pick % Math.max(1, keys.length)]

const slotOf = (channelId: string, token: number, stream: string): Admission.Slot | undefined =>
  token === 0 ? undefined : { channelId, tokenHash: `t${token}`, replica: "", stream }

const step = (state: Admission.Admission, now: Event, index: number): Admission.Admission => {
  switch (now.kind) {
    case "open": {
      const channelId = `c${index}`
      const slot = slotOf(channelId, now.token, now.stream)
      if (Admission.denySlot(state, slot) !== undefined) return state
      const begun = Admission.begin(state, channelId, slot)
      return Admission.mayDispatch(begun)
        ? Admission.dispatch(begun, channelId)
        : Admission.finish(begun, channelId, undefined)
    }
    case "opened":
    case "failed": {
      const channelId = nth([...state.pending.keys()], now.pick)
      return channelId === undefined
        ? state
        : Admission.finish(state, channelId, now.kind === "opened" ? "r/1" : undefined)
    }
    case "closed": {
      const channelId = nth([...state.slots.keys()], now.pick)
      return channelId === undefined ? state : Admission.release(state, channelId)
    }
  }
}

const held = (state: Admission.Admission) => [
  ...state.slots.values(),
  ...[...state.pending.values()].flatMap(({ slot }) => (slot === undefined ? [] : [slot])),
]

/** Streams, however many carriers each has, and plain relays. */
const connections = (slots: ReadonlyArray<Admission.Slot>): number =>
  new Set(slots.flatMap(({ stream }) => (stream === "" ? [] : [stream]))).size +
  slots.filter(({ stream }) => stream === "").length

describe("admission of relays", () => {
  it("never exceeds the limits per token, per sandbox and of pending relays", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        let state = Admission.empty
        events.forEach((now, index) => {
          state = step(state, now, index)
          const slots = held(state)
          expect(connections(slots)).toBeLessThanOrEqual(limits.connectionsPerSandbox)
          for (const token of new Set(slots.map(({ tokenHash }) => tokenHash)))
            expect(connections(slots.filter(({ tokenHash }) => tokenHash === token))).toBeLessThanOrEqual(
              limits.connectionsPerToken,
            )
          const dispatched = [...state.pending.values()].filter((open) => open.dispatched).length
          expect(dispatched).toBeLessThanOrEqual(limits.relayPendingPerSandbox)
        })
      }),
    )
  })

  it("gives every slot back: once all is closed, as many open as at first", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        let state = events.reduce(step, Admission.empty)
        for (const channelId of state.pending.keys()) state = Admission.finish(state, channelId, "r/1")
        for (const channelId of state.slots.keys()) state = Admission.release(state, channelId)
        expect(state).toEqual(Admission.empty)
      }),
    )
  })

  it("takes what the edges report for the truth, but never forgets an open that is under way", () => {
    const slot = (channelId: string): Admission.Slot => ({
      channelId,
      tokenHash: "t",
      replica: "r/1",
      stream: "",
    })
    const opening = Admission.begin(Admission.empty, "new", { ...slot("new"), replica: "" })
    const reconciled = Admission.reconcile(opening, opening, [slot("old"), slot("new")])
    expect([...reconciled.slots.keys()]).toEqual(["old"])
    expect([...reconciled.pending.keys()]).toEqual(["new"])
  })

  it("keeps what opened, and forgets what closed, while the edges were answering", () => {
    const slot = (channelId: string): Admission.Slot => ({
      channelId,
      tokenHash: "t",
      replica: "r/1",
      stream: "",
    })
    const withSlots = (...ids: ReadonlyArray<string>): Admission.Admission => ({
      ...Admission.empty,
      slots: new Map(ids.map((id) => [id, slot(id)])),
    })
    // Asked while "a" and "b" were open; "b" closed and "c" opened before the answer (made when "a" and "b" lived).
    const reconciled = Admission.reconcile(withSlots("a", "c"), withSlots("a", "b"), [slot("a"), slot("b")])
    expect([...reconciled.slots.keys()].sort()).toEqual(["a", "c"])
  })

  it("refuses the fourth connection of a token and the twenty-first of a sandbox", () => {
    let state = Admission.empty
    const open = (channelId: string, tokenHash: string) => {
      const slot = { channelId, tokenHash, replica: "", stream: "" }
      const denial = Admission.denySlot(state, slot)
      if (denial === undefined)
        state = Admission.finish(Admission.begin(state, channelId, slot), channelId, "r/1")
      return denial
    }
    expect(["a", "b", "c", "d"].map((channel) => open(channel, "t"))).toEqual([
      undefined,
      undefined,
      undefined,
      "token",
    ])
    for (let n = 3; n < limits.connectionsPerSandbox; n++) expect(open(`x${n}`, `t${n}`)).toBeUndefined()
    expect(open("last", "another")).toBe("sandbox")
  })

  it("counts all carriers of a stream as one, so that neither a move nor a resume is refused", () => {
    let state = Admission.empty
    const open = (channelId: string, stream: string) => {
      const slot = { channelId, tokenHash: "t", replica: "", stream }
      const denial = Admission.denySlot(state, slot)
      if (denial === undefined)
        state = Admission.finish(Admission.begin(state, channelId, slot), channelId, "r/1")
      return denial
    }
    const carriers = ["a1", "b1", "c1", "a2", "b2", "a3"]
    expect(carriers.map((channel) => open(channel, channel.charAt(0)))).toEqual(carriers.map(() => undefined))
    expect([open("d1", "d"), open("x", "")]).toEqual(["token", "token"])
    for (const channel of ["a1", "a2"]) state = Admission.release(state, channel)
    expect(open("d1", "d")).toBe("token")
    state = Admission.release(state, "a3")
    expect(open("d1", "d")).toBeUndefined()
  })

  it("counts a stream once also while its first carrier is opening", () => {
    const slot = (channelId: string, stream: string) => ({ channelId, tokenHash: "t", replica: "", stream })
    let state = Admission.empty
    for (const key of ["a", "b", "c"]) state = Admission.begin(state, `${key}1`, slot(`${key}1`, key))
    expect(Admission.denySlot(state, slot("a2", "a"))).toBeUndefined()
    expect(Admission.denySlot(state, slot("d1", "d"))).toBe("token")
  })
})
