/**
 * The bytes of one direction that the peer has not consumed yet, by offset. A value: every change returns a new
 * buffer, old ones stay readable. Large writes are kept as they are, small ones are packed into blocks.
 */
import { limits } from "../../domain/Limits.ts"

interface Entry {
  readonly offset: number
  readonly bytes: Buffer
}

/** What the versions of one buffer share; only the newest version may add to it. */
interface Shared {
  readonly entries: Array<Entry>
  newest: ReplayBuffer | undefined
  block: Buffer
  blockUsed: number
}

export interface ReplayBuffer {
  /** Offsets [start, end) are here. */
  readonly start: number
  readonly end: number
  /** Index of the first entry that is still needed. */
  readonly first: number
  /** Entries of this version; a later version may have more. */
  readonly count: number
  readonly shared: Shared
}

const noBlock = Buffer.alloc(0)

/** Unneeded entries in front are kept until they are this many and a quarter of all: removing copies the rest. */
const slackEntries = 8

const make = (fields: Omit<ReplayBuffer, "shared">, shared: Shared): ReplayBuffer => {
  const buffer = { ...fields, shared }
  shared.newest = buffer
  return buffer
}

export const emptyReplay = (offset = 0): ReplayBuffer =>
  make(
    { start: offset, end: offset, first: 0, count: 0 },
    { entries: [], newest: undefined, block: noBlock, blockUsed: 0 },
  )

/** A copy of the index (not of the bytes) that may be changed. */
const detached = (buffer: ReplayBuffer): ReplayBuffer =>
  make(
    { start: buffer.start, end: buffer.end, first: 0, count: buffer.count - buffer.first },
    {
      entries: buffer.shared.entries.slice(buffer.first, buffer.count).map(({ offset, bytes }) => ({
        offset,
        bytes: bytes.subarray(0, buffer.end - offset),
      })),
      newest: undefined,
      block: noBlock,
      blockUsed: 0,
    },
  )

/** Puts a small write into the current block; true when that only made the last entry longer. */
const pack = (shared: Shared, offset: number, bytes: Buffer, buffered: number): boolean => {
  if (shared.block.length - shared.blockUsed < bytes.length) {
    const wanted = Math.max(limits.resumeFirstBlockBytes, 2 * (buffered + bytes.length))
    shared.block = Buffer.allocUnsafeSlow(Math.min(limits.resumeBlockBytes, wanted))
    shared.blockUsed = 0
  }
  const at = shared.blockUsed
  bytes.copy(shared.block, at)
  shared.blockUsed += bytes.length
  const last = shared.entries.at(-1)
  if (
    last !== undefined &&
    last.bytes.buffer === shared.block.buffer &&
    last.bytes.byteOffset + last.bytes.length === shared.block.byteOffset + at
  ) {
    const begin = last.bytes.byteOffset - shared.block.byteOffset
    shared.entries[shared.entries.length - 1] = {
      offset: last.offset,
      bytes: shared.block.subarray(begin, shared.blockUsed),
    }
    return true
  }
  shared.entries.push({ offset, bytes: shared.block.subarray(at, shared.blockUsed) })
  return false
}

/** Adds bytes at the end. Large ones are referenced, so they must not be changed afterwards. */
export const append = (buffer: ReplayBuffer, bytes: Buffer): ReplayBuffer => {
  if (bytes.length === 0) return buffer
  const base = buffer.shared.newest === buffer ? buffer : detached(buffer)
  const { shared } = base
  const end = base.end + bytes.length
  if (bytes.length < limits.resumeCopyBytes) {
    const grown = pack(shared, base.end, bytes, bufferedBytes(base))
    return make({ ...base, end, count: grown ? base.count : base.count + 1 }, shared)
  }
  shared.entries.push({ offset: base.end, bytes })
  return make({ ...base, end, count: base.count + 1 }, shared)
}

const indexOf = (buffer: ReplayBuffer, offset: number): number => {
  let low = buffer.first
  let high = buffer.count - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((buffer.shared.entries[middle]?.offset ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return low
}

/** The same buffer over an index of its own; the old version may be read but no longer added to. */
const reindexed = (buffer: ReplayBuffer, start: number, first: number): ReplayBuffer => {
  const { shared } = buffer
  const entries = shared.entries.slice(first, buffer.count)
  shared.newest = undefined
  return make(
    { start, end: buffer.end, first: 0, count: entries.length },
    { ...shared, entries, newest: undefined },
  )
}

/** Forgets what lies before `offset`, at most the end of the buffer. */
export const dropBefore = (buffer: ReplayBuffer, offset: number): ReplayBuffer => {
  if (offset <= buffer.start) return buffer
  const newest = buffer.shared.newest === buffer
  if (offset >= buffer.end) {
    return newest ? reindexed(buffer, buffer.end, buffer.count) : emptyReplay(buffer.end)
  }
  const first = indexOf(buffer, offset)
  const next = { ...buffer, start: offset, first }
  if (!newest) return next
  if (first < slackEntries || first * 4 < buffer.count) return make(next, buffer.shared)
  return reindexed(buffer, offset, first)
}

/** Bytes from `offset`, at most `most`, and only as far as they lie together in memory; never copies. */
export const peek = (buffer: ReplayBuffer, offset: number, most: number): Buffer => {
  const entry = buffer.shared.entries[indexOf(buffer, offset)]
  if (entry === undefined || offset < buffer.start || offset >= buffer.end) return noBlock
  const begin = offset - entry.offset
  return entry.bytes.subarray(begin, Math.min(begin + most, buffer.end - entry.offset))
}

export const bufferedBytes = (buffer: ReplayBuffer): number => buffer.end - buffer.start
