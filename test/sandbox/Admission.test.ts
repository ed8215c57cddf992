import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import * as Admission from "../../src/sandbox/Admission.ts"

type Event =
  | { readonly kind: "open"; readonly token: number }
  | { readonly kind: "opened" | "failed" | "closed"; readonly pick: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("open" as const), token: fc.nat(9) }) },
  fc.record({
    kind: fc.constantFrom("opened" as const, "failed" as const, "closed" as const),
    pick: fc.nat(),
  }),
)

const plain: Admission.Opened = { replica: "r/1", stream: false }

const nth = (keys: ReadonlyArray<string>, pick: number) => keys[pick % Math.max(1, keys.length)]

const slotOf = (channelId: string, token: number): Admission.Slot | undefined =>
  token === 0 ? undefined : { channelId, tokenHash: `t${token}`, replica: "", stream: "" }

const step = (state: Admission.Admission, now: Event, index: number): Admission.Admission => {
  switch (now.kind) {
    case "open": {
      const channelId = `c${index}`
      const slot = slotOf(channelId, now.token)
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
        : Admission.finish(state, channelId, now.kind === "opened" ? plain : undefined)
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

describe("admission of relays", () => {
  it("never exceeds the limits per token, per sandbox and of pending relays", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        let state = Admission.empty
        events.forEach((now, index) => {
          state = step(state, now, index)
          const slots = held(state)
          expect(slots.length).toBeLessThanOrEqual(limits.connectionsPerSandbox)
          const perToken = new Map<string, number>()
          for (const { tokenHash } of slots) perToken.set(tokenHash, (perToken.get(tokenHash) ?? 0) + 1)
          for (const count of perToken.values()) expect(count).toBeLessThanOrEqual(limits.connectionsPerToken)
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
        for (const channelId of state.pending.keys()) state = Admission.finish(state, channelId, plain)
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
        state = Admission.finish(Admission.begin(state, channelId, slot), channelId, plain)
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
    const open = (channelId: string, stream: string, opened: boolean | undefined = true) => {
      const slot = { channelId, tokenHash: "t", replica: "", stream }
      const denial = Admission.denySlot(state, slot)
      if (denial !== undefined) return denial
      state = Admission.begin(state, channelId, slot)
      const only = Admission.onlyAsStream(state, channelId)
      state = Admission.finish(state, channelId, { replica: "r/1", stream: opened })
      return only
    }
    expect(open("a1", "a")).toBe(false)
    expect(open("b1", "b")).toBe(false)
    expect(open("c1", "c")).toBe(false)
    // All slots are taken: another carrier of one of them may open, but as nothing else.
    expect(["a2", "b2", "a3"].map((channel) => open(channel, channel.charAt(0)))).toEqual([true, true, true])
    expect(open("d1", "d")).toBe("token")
    expect(open("x", "")).toBe("token")
    for (const channel of ["a1", "a2", "a3"]) state = Admission.release(state, channel)
    expect(open("d1", "d")).toBe(false)
  })

  it("counts relays with a key that turn out to be plain ones for themselves", () => {
    let state = Admission.empty
    const outcomes = ["p1", "p2", "p3", "p4"].map((channelId) => {
      const slot = { channelId, tokenHash: "t", replica: "", stream: "same" }
      const denial = Admission.denySlot(state, slot)
      if (denial !== undefined) return denial
      state = Admission.begin(state, channelId, slot)
      const only = Admission.onlyAsStream(state, channelId)
      // A supervisor without the extension serves them as plain relays, and not at all what is only a carrier.
      state = Admission.finish(state, channelId, only ? undefined : plain)
      return only
    })
    expect(outcomes).toEqual([false, false, false, "token"])
    // The same while none of them has opened yet: the fourth is let through as a carrier of what may be one.
    state = Admission.empty
    for (const channelId of ["q1", "q2", "q3", "q4"])
      state = Admission.begin(state, channelId, { channelId, tokenHash: "t", replica: "", stream: "same" })
    expect([...state.pending.keys()].map((channel) => Admission.onlyAsStream(state, channel))).toEqual([
      false,
      false,
      false,
      true,
    ])
  })
})
