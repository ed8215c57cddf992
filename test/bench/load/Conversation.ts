/**
 * What is said on a connection to the target. The first byte chooses:
 *
 *     E …                    everything comes back
 *     U length(8) data       after `length` bytes the target answers with the count (8)
 *     D length(8)            the target sends `length` bytes
 *     H length(8) data       after `length` bytes the target answers with their SHA-256 (32)
 *     V length(8)            the target sends `length` random bytes and then their SHA-256 (32)
 */
export const modes = { echo: 0x45, up: 0x55, down: 0x44, hash: 0x48, verified: 0x56 } as const

export const headerBytes = 9

export const header = (mode: number, length: number): Buffer => {
  const bytes = Buffer.alloc(headerBytes)
  bytes[0] = mode
  bytes.writeBigUInt64BE(BigInt(length), 1)
  return bytes
}

/** What one write carries: the size in which node reads from sockets. */
export const chunkBytes = 65_536

/** Writes `length` bytes no faster than the stream takes them; resolves when the last was accepted. */
export const sendAll = (
  stream: NodeJS.WritableStream,
  length: number,
  next: (bytes: number) => Buffer,
): Promise<void> =>
  new Promise((resolve) => {
    let left = length
    const go = (): void => {
      while (left > 0) {
        const part = Math.min(left, chunkBytes)
        left -= part
        if (!stream.write(next(part)) && left > 0) {
          stream.once("drain", go)
          return
        }
      }
      resolve()
    }
    go()
  })
