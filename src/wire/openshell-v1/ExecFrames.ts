/**
 * `ExecSandboxEvent` messages with output, as gRPC frames: everything that precedes the output itself, so that
 * it is never copied.
 *
 *   gRPC prefix: flag 0, length u32 | tag of the event | varint length | tag 0x0a (data) | varint n | n bytes
 */
const prefixBytes = 5
const tagData = 0x0a
const eventTags = { stdout: 0x0a, stderr: 0x12 } as const

const varint = (value: number): ReadonlyArray<number> =>
  value < 0x80 ? [value] : [(value % 128) | 0x80, ...varint(Math.floor(value / 128))]

/** What stands before `bytes` bytes of output, which must be fewer than 2^32 with it. */
export const outputHeader = (kind: keyof typeof eventTags, bytes: number): Buffer => {
  const data = [tagData, ...varint(bytes)]
  const event = [eventTags[kind], ...varint(data.length + bytes), ...data]
  const header = Buffer.from([...Array<number>(prefixBytes).fill(0), ...event])
  header.writeUInt32BE(event.length + bytes, 1)
  return header
}
