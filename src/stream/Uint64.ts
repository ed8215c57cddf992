/** 64-bit offsets as numbers: exact up to 2^53 - 1, which is 9 PB of one direction. */

/** Returns the position after the number, as Node's writers do. */
export const writeU64 = (buffer: Buffer, value: number, at: number): number => {
  buffer.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at)
  return buffer.writeUInt32BE(value % 0x1_0000_0000, at + 4)
}

/** Above 2^53 - 1 it is no safe integer; callers refuse it. */
export const readU64 = (buffer: Buffer, at: number): number =>
  buffer.readUInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4)
