import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import { pollAfterMs } from "../../src/supervisor/gateway/Settings.ts"
import { DetachScanner } from "../../src/supervisor/process/DetachScanner.ts"
import { OutputRing } from "../../src/supervisor/process/OutputRing.ts"
import { backoffBoundMs, failuresAfter, reconnectPauseMs } from "../../src/supervisor/session/Backoff.ts"
import { EpochFence } from "../../src/supervisor/session/EpochFence.ts"

const policy = { baseMs: 500, capMs: 30_000, adviceMs: 300_000, spreadMs: 60_000 }
const unit = fc.double({ min: 0, max: 0.999999, noNaN: true })

describe("the reconnect pause", () => {
  it("doubles its bound up to the cap and never leaves it, for any number of failures", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), unit, (failures, random) => {
        const bound = backoffBoundMs(policy, failures)
        expect(bound).toBe(Math.min(30_000, 500 * 2 ** (failures - 1)))
        const pause = reconnectPauseMs(policy, failures, random, {})
        expect(pause).toBeGreaterThanOrEqual(0)
        expect(pause).toBeLessThan(bound)
      }),
    )
  })

  it("covers the whole range from zero, so that supervisors do not return in step", () => {
    const pauses = Array.from({ length: 1_000 }, (_, index) => reconnectPauseMs(policy, 5, index / 1_000, {}))
    for (let slot = 0; slot < 10; slot += 1) {
      const inSlot = pauses.filter((pause) => pause >= slot * 800 && pause < (slot + 1) * 800)
      expect(inSlot.length).toBe(100)
    }
  })

  it("waits at least as long as the gateway advises, within reason, and still jitters", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), unit, (advised, random) => {
        const pause = reconnectPauseMs(policy, 1, random, { delayMs: advised })
        expect(pause).toBeGreaterThanOrEqual(Math.min(advised, 300_000))
        expect(pause).toBeLessThan(Math.min(advised, 300_000) + 500)
      }),
    )
  })

  it("spreads over as long as the gateway asks, and never less than its own bound", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000 }), unit, (spreadMs, random) => {
        const pause = reconnectPauseMs(policy, 1, random, { spreadMs })
        expect(pause).toBeCloseTo(random * Math.max(500, Math.min(spreadMs, 60_000)), 6)
      }),
    )
  })

  it("starts over after a session that was accepted and lived, and only then", () => {
    expect(failuresAfter(7, { accepted: true, livedMs: 5_000 }, 5_000)).toBe(1)
    expect(failuresAfter(7, { accepted: true, livedMs: 4_999 }, 5_000)).toBe(8)
    expect(failuresAfter(7, { accepted: false, livedMs: 60_000 }, 5_000)).toBe(8)
  })
})

describe("the pause before a poll of the configuration", () => {
  const never = Number.POSITIVE_INFINITY
  it("is the interval, or shorter when a credential ends before, but not for ever short", () => {
    expect(pollAfterMs(600_000, never, 1_000)).toBe(600_000)
    expect(pollAfterMs(600_000, 61_000, 1_000)).toBe(60_000)
    expect(pollAfterMs(600_000, 900, 1_000)).toBe(limits.configPollMs)
    expect(pollAfterMs(1_000, 900, 1_000)).toBe(1_000)
  })
})

describe("the epoch fence", () => {
  it("refuses exactly the epochs below the highest seen so far", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 })), (epochs) => {
        const fence = new EpochFence()
        let highest = 0
        let refused = 0
        for (const epoch of epochs) {
          const stale = epoch < highest
          expect(fence.admit(epoch) !== undefined).toBe(stale)
          if (stale) refused += 1
          else highest = epoch
        }
        expect([fence.highest, fence.refused]).toEqual([highest, refused])
      }),
    )
  })

  it("admits gateways that do not fence and names the epochs when it refuses", () => {
    const fence = new EpochFence()
    fence.observe(9)
    expect(fence.admit(undefined)).toBeUndefined()
    expect(fence.admit(0)).toBeUndefined()
    expect(fence.admit(8)).toBe("stale epoch 8: epoch 9 has spoken already")
  })
})

describe("the output ring", () => {
  it("keeps exactly the newest bytes and reads them from any offset", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(700),
        fc.nat(50),
        (writes, capacity, offset, maxBytes) => {
          const ring = new OutputRing(capacity)
          for (const write of writes) ring.append(Buffer.from(write))
          const all = Buffer.concat(writes)
          expect([ring.start, ring.end]).toEqual([Math.max(0, all.length - capacity), all.length])
          const { from, bytes } = ring.read(offset, maxBytes)
          expect(from).toBe(Math.min(Math.max(offset, ring.start), all.length))
          expect(bytes.equals(all.subarray(from, from + maxBytes))).toBe(true)
        },
      ),
    )
  })
})

describe("the detach scanner", () => {
  const scan = (chunks: ReadonlyArray<Uint8Array>) => {
    const scanner = new DetachScanner()
    const results = chunks.map((chunk) => scanner.push(Buffer.from(chunk)))
    return {
      forward: Buffer.concat(results.map((result) => result.forward)),
      detached: results.some((result) => result.detached),
    }
  }

  it("passes everything before the sequence and nothing after it, wherever the input is cut", () => {
    const typed = fc.array(fc.constantFrom(0x10, 0x11, 0x61, 0x0d), { maxLength: 30 })
    fc.assert(
      fc.property(typed, fc.array(fc.nat(30), { maxLength: 5 }), (bytes, cuts) => {
        const input = Buffer.from(bytes)
        const points = [0, ...cuts.map((cut) => Math.min(cut, input.length)), input.length].sort(
          (a, b) => a - b,
        )
        const chunks = points.slice(1).map((end, index) => input.subarray(points[index], end))
        const at = input.indexOf(Buffer.from([0x10, 0x11]))
        const { forward, detached } = scan(chunks)
        expect(detached).toBe(at >= 0)
        const before = at >= 0 ? input.subarray(0, at) : input
        // A Ctrl-P at the very end waits for the byte that decides.
        const held = at < 0 && before.at(-1) === 0x10 ? 1 : 0
        expect(forward.equals(before.subarray(0, before.length - held))).toBe(true)
      }),
    )
  })
})
