import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { limits } from "../../src/domain/Limits.ts"
import {
  append,
  bufferedBytes,
  dropBefore,
  emptyReplay,
  peek,
  type ReplayBuffer,
} from "../../src/stream/core/ReplayBuffer.ts"

const sizes = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.integer({ min: limits.resumeCopyBytes - 2, max: limits.resumeCopyBytes + 2 }),
  fc.integer({ min: 0, max: 40_000 }),
)

const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("append" as const), size: sizes }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("drop" as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("branch" as const) }) },
)

const all = (buffer: ReplayBuffer, most: number): Buffer => {
  const pieces: Buffer[] = []
  for (let at = buffer.start; at < buffer.end; ) {
    const piece = peek(buffer, at, most)
    if (piece.length === 0 || piece.length > most)
      throw new Error(`a piece of ${piece.length} bytes at ${at}`)
    pieces.push(piece)
    at += piece.length
  }
  return Buffer.concat(pieces)
}

const bytesAt = (offset: number, size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, index) => (offset + index) * 7))

describe("the replay buffer", () => {
  it("holds what was added and not dropped, and old versions stay what they were", () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 24 }),
        fc.integer({ min: 50, max: 70_000 }),
        (actions, most) => {
          let buffer = emptyReplay()
          let model: Buffer = Buffer.alloc(0)
          const older: Array<readonly [ReplayBuffer, Buffer]> = []
          for (const one of actions) {
            older.push([buffer, model])
            if (one.do === "append") {
              const bytes = bytesAt(buffer.end, one.size)
              buffer = append(buffer, bytes)
              model = Buffer.concat([model, bytes])
            } else if (one.do === "drop") {
              const count = Math.floor(one.share * model.length)
              buffer = dropBefore(buffer, buffer.start + count)
              model = model.subarray(count)
            } else {
              const [version, content] = older[Math.floor(older.length / 2)] ?? [buffer, model]
              buffer = version
              model = content
            }
            expect(bufferedBytes(buffer)).toBe(model.length)
          }
          for (const [version, content] of [...older, [buffer, model] as const])
            expect(all(version, most).equals(content)).toBe(true)
        },
      ),
      { numRuns: 80 },
    )
  })

  it("keeps large writes as they are", () => {
    const large = Buffer.alloc(limits.resumeCopyBytes, 1)
    expect(peek(append(emptyReplay(), large), 0, large.length).buffer).toBe(large.buffer)
  })

  it("packs single bytes into few pieces, apart from the buffers they came in", () => {
    const chunk = Buffer.alloc(65_536, 5)
    let buffer = emptyReplay()
    for (let count = 0; count < 50_000; count += 1) buffer = append(buffer, chunk.subarray(count, count + 1))
    expect(buffer.count - buffer.first).toBeLessThanOrEqual(12)
    expect(peek(buffer, 0, 65_536).buffer).not.toBe(chunk.buffer)
    expect(peek(buffer, 0, 65_536).length).toBe(limits.resumeFirstBlockBytes)
    expect(peek(buffer, 40_000, 65_536).length).toBeGreaterThan(limits.resumeBlockBytes / 4)
  })

  it("lets go of what was dropped", () => {
    let buffer = emptyReplay()
    for (let count = 0; count < 1_000; count += 1) {
      buffer = append(buffer, Buffer.alloc(limits.resumeCopyBytes))
      buffer = dropBefore(buffer, Math.max(0, buffer.end - 4 * limits.resumeCopyBytes))
    }
    expect(buffer.shared.entries.length).toBeLessThanOrEqual(16)
  })
})
