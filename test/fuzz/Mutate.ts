/** What happens to a message on its way: pure, from a seed. */
import type { Random } from "../simulation/kernel/Random.ts"

const headerBytes = 5
/** Above the limit of one message. */
const hugeBytes = 1_048_577

export const frame = (body: Uint8Array, flag = 0, claimed = body.length): Buffer => {
  const header = Buffer.alloc(headerBytes)
  header[0] = flag
  header.writeUInt32BE(claimed >>> 0, 1)
  return Buffer.concat([header, body])
}

export const randomBytes = (random: Random, length: number): Buffer => {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at += 1) bytes[at] = random.below(256)
  return bytes
}

const flipped = (random: Random, body: Buffer): Buffer => {
  const changed = Buffer.from(body)
  for (let count = 1 + random.below(4); count > 0 && changed.length > 0; count -= 1) {
    const at = random.below(changed.length)
    changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8))
  }
  return changed
}

/** Ways to spoil a message; the first leaves it whole. */
const spoils: ReadonlyArray<(random: Random, body: Buffer) => Buffer> = [
  (_random, body) => frame(body),
  (random, body) => frame(flipped(random, body)),
  (random, body) => frame(body.subarray(0, random.below(body.length + 1))),
  (random, body) => frame(Buffer.concat([body, randomBytes(random, random.below(64))])),
  (random) => frame(randomBytes(random, random.below(200))),
  (_random, body) => frame(Buffer.concat([body, body])),
  // Unknown fields, which every protobuf reader skips.
  (random, body) => frame(Buffer.concat([body, Buffer.of(0xfa, 0x3f, 4), randomBytes(random, 4)])),
  () => frame(Buffer.alloc(0)),
  // Wrong lengths: the next message is then read from the middle of this one.
  (random, body) => frame(body, 0, random.below(2 * body.length + 2)),
  (_random, body) => frame(body, 0, hugeBytes),
  (_random, body) => frame(body, 0, 0xffff_ffff),
  (_random, body) => frame(body, 1),
  (random, body) => frame(body, 2 + random.below(254)),
  (random) => randomBytes(random, random.below(20)),
]

/** Ends every reading of the stream, so that later frames of the call are wasted. */
const deadly = 8

/** The bytes of one message, whole with the given probability. */
export const spoil = (random: Random, body: Uint8Array, wholeness: number): Buffer => {
  const bytes = Buffer.from(body)
  if (random.chance(wholeness)) return frame(bytes)
  const kinds = random.chance(0.7) ? deadly : spoils.length
  return spoils[random.below(kinds)]?.(random, bytes) ?? frame(bytes)
}
