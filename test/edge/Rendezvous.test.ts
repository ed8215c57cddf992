import { describe, expect, it, vi } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { Rendezvous } from "../../src/edge/Rendezvous.ts"
import type { RelayLeg } from "../../src/wire/RelayLeg.ts"

const redeemed = (rendezvous: Rendezvous, channelId: string, ticket: string) => {
  const result = rendezvous.redeem(channelId, ticket)
  return typeof result === "string" ? result : "delivered"
}

describe("tickets of peer legs", () => {
  it("are good for one leg", () => {
    const rendezvous = new Rendezvous()
    const { ticket } = rendezvous.issue("c1")
    expect(redeemed(rendezvous, "c1", ticket)).toBe("delivered")
    expect(redeemed(rendezvous, "c1", ticket)).toBe("unknown")
  })

  it("are bound to their relay", () => {
    const rendezvous = new Rendezvous()
    const first = rendezvous.issue("c1")
    rendezvous.issue("c2")
    expect(redeemed(rendezvous, "c2", first.ticket)).toBe("unknown")
    expect(redeemed(rendezvous, "c1", first.ticket)).toBe("delivered")
  })

  it("expire", () => {
    const rendezvous = new Rendezvous()
    const now = vi.spyOn(performance, "now")
    const start = performance.now()
    const { ticket } = rendezvous.issue("c1")
    now.mockReturnValue(start + limits.peerTicketMs + 60_000)
    expect(redeemed(rendezvous, "c1", ticket)).toBe("expired")
    now.mockRestore()
  })

  it("are refused when guessed, and a guess does not use the true one up", () => {
    const rendezvous = new Rendezvous()
    const { ticket } = rendezvous.issue("c1")
    expect(redeemed(rendezvous, "c1", "")).toBe("unknown")
    expect(redeemed(rendezvous, "c1", Buffer.alloc(32).toString("base64url"))).toBe("unknown")
    expect(redeemed(rendezvous, "c1", ticket)).toBe("delivered")
  })

  it("fail a leg that comes after the caller has gone", () => {
    const rendezvous = new Rendezvous()
    const { ticket, cancel } = rendezvous.issue("c1")
    const deliver = rendezvous.redeem("c1", ticket)
    if (typeof deliver === "string") throw new Error(deliver)
    cancel()
    const aborted: Array<string> = []
    deliver({ abort: (reason: string) => aborted.push(reason) } as Partial<RelayLeg> as RelayLeg)
    expect(aborted).toHaveLength(1)
  })

  it("are bounded in number", () => {
    const rendezvous = new Rendezvous()
    for (let n = 0; n < limits.peerTickets; n++) rendezvous.issue(`c${n}`)
    expect(() => rendezvous.issue("one more")).toThrow(/too many relays/)
  })
})
