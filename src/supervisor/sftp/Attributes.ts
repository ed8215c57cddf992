import type { BigIntStats, Stats } from "node:fs"
import type { PacketReader, PacketWriter } from "./Packet.ts"

/** File attributes of the protocol; what is absent is not to be changed, or not known. Times are in seconds. */
export interface Attributes {
  readonly size?: number
  readonly owner?: { readonly uid: number; readonly gid: number }
  readonly permissions?: number
  readonly times?: { readonly atime: number; readonly mtime: number }
}

const flag = { SIZE: 1, OWNER: 2, PERMISSIONS: 4, TIMES: 8, EXTENDED: 0x8000_0000 } as const

export const readAttributes = (reader: PacketReader): Attributes => {
  const flags = reader.uint32()
  const has = (bit: number): boolean => (flags & bit) !== 0
  const attributes = {
    ...(has(flag.SIZE) ? { size: reader.uint64() } : {}),
    ...(has(flag.OWNER) ? { owner: { uid: reader.uint32(), gid: reader.uint32() } } : {}),
    ...(has(flag.PERMISSIONS) ? { permissions: reader.uint32() } : {}),
    ...(has(flag.TIMES) ? { times: { atime: reader.uint32(), mtime: reader.uint32() } } : {}),
  }
  if (has(flag.EXTENDED)) {
    for (let left = reader.uint32(); left > 0; left -= 1) {
      reader.string()
      reader.string()
    }
  }
  return attributes
}

export const attributesOf = (stats: Stats): Attributes => ({
  size: stats.size,
  owner: { uid: stats.uid, gid: stats.gid },
  permissions: stats.mode,
  times: { atime: seconds(stats.atimeMs), mtime: seconds(stats.mtimeMs) },
})

/** The protocol has no times before 1970 and none after 2106. */
const seconds = (ms: number): number => Math.min(Math.max(Math.floor(ms / 1_000), 0), 0xffff_ffff)

export const writeAttributes = (writer: PacketWriter, attributes: Attributes): PacketWriter => {
  const { size, owner, permissions, times } = attributes
  writer.uint32(
    (size === undefined ? 0 : flag.SIZE) |
      (owner === undefined ? 0 : flag.OWNER) |
      (permissions === undefined ? 0 : flag.PERMISSIONS) |
      (times === undefined ? 0 : flag.TIMES),
  )
  if (size !== undefined) writer.uint64(size)
  if (owner !== undefined) writer.uint32(owner.uid).uint32(owner.gid)
  if (permissions !== undefined) writer.uint32(permissions)
  if (times !== undefined) writer.uint32(times.atime).uint32(times.mtime)
  return writer
}

const kinds: ReadonlyArray<readonly [number, string]> = [
  [0o140000, "s"],
  [0o120000, "l"],
  [0o100000, "-"],
  [0o060000, "b"],
  [0o040000, "d"],
  [0o020000, "c"],
  [0o010000, "p"],
]
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const modeText = (mode: number): string => {
  const kind = kinds.find(([bits]) => (mode & 0o170000) === bits)?.[1] ?? "?"
  const triple = (shift: number, special: number, mark: string): string => {
    const bits = (mode >> shift) & 7
    const execute = (bits & 1) !== 0
    const last = (mode & special) !== 0 ? (execute ? mark : mark.toUpperCase()) : execute ? "x" : "-"
    return `${bits & 4 ? "r" : "-"}${bits & 2 ? "w" : "-"}${last}`
  }
  return `${kind}${triple(6, 0o4000, "s")}${triple(3, 0o2000, "s")}${triple(0, 0o1000, "t")}`
}

/** A line as `ls -l` prints it, up to the name; `sftp` shows it to its user. */
export const longNamePrefix = (stats: Stats | BigIntStats, now: Date): string => {
  const time = stats.mtime
  const recent = Math.abs(now.getTime() - time.getTime()) < 182 * 86_400_000
  const two = (value: number): string => String(value).padStart(2, "0")
  const clock = recent ? `${two(time.getHours())}:${two(time.getMinutes())}` : ` ${time.getFullYear()}`
  const day = String(time.getDate()).padStart(2)
  return [
    modeText(Number(stats.mode)),
    String(stats.nlink).padStart(4),
    String(stats.uid).padEnd(8),
    String(stats.gid).padEnd(8),
    String(stats.size).padStart(8),
    `${months[time.getMonth()] ?? ""} ${day} ${clock} `,
  ].join(" ")
}
