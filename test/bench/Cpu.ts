/** CPU time of processes, from /proc. */
import { readdirSync, readFileSync } from "node:fs"

/** Clock ticks per second: USER_HZ, 100 on every Linux that Node supports (proc(5)). */
const ticksPerSecond = 100

/** What /proc/PID/stat says from its third field on; the second may hold spaces. */
const statOf = (pid: number | string): ReadonlyArray<string> => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return []
  }
}

const ticks = (fields: ReadonlyArray<string>, ...at: ReadonlyArray<number>): number =>
  at.reduce((sum, index) => sum + Number(fields[index] ?? 0), 0)

const toMs = (count: number): number => (count * 1_000) / ticksPerSecond

/** User and system time so far, milliseconds; 0 of a process that is gone. */
export const cpuMsOf = (pid: number): number => toMs(ticks(statOf(pid), 11, 12))

/** The same of a process and its children, those that have ended too: of a server with a process per connection. */
export const familyCpuMsOf = (pid: number): number => {
  const children = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(statOf)
    .filter((fields) => fields[1] === String(pid))
  const ofChildren = children.reduce((sum, fields) => sum + ticks(fields, 11, 12), 0)
  return toMs(ticks(statOf(pid), 11, 12, 13, 14) + ofChildren)
}

export type CpuTimes = Readonly<Record<string, number>>

export const cpuTimes = (pids: Readonly<Record<string, number>>): CpuTimes =>
  Object.fromEntries(Object.entries(pids).map(([part, pid]) => [part, cpuMsOf(pid)]))

/** What each part used between two readings. */
export const cpuBetween = (before: CpuTimes, after: CpuTimes): CpuTimes =>
  Object.fromEntries(Object.entries(after).map(([part, ms]) => [part, ms - (before[part] ?? 0)]))

/** Per unit of work; parts with less than two hundredths of the whole left out. */
export const perUnit = (used: ReadonlyArray<CpuTimes>, units: number): CpuTimes => {
  const parts = [...new Set(used.flatMap((times) => Object.keys(times)))]
  const sums = parts.map(
    (part) => [part, used.reduce((sum, times) => sum + (times[part] ?? 0), 0) / units] as const,
  )
  const all = sums.reduce((sum, [, ms]) => sum + ms, 0)
  return Object.fromEntries(sums.filter(([, ms]) => ms > all / 50))
}
