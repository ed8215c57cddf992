/** CPU time of processes, from /proc. */
import { readFileSync } from "node:fs"

/** Clock ticks per second: USER_HZ, 100 on every Linux that Node supports (proc(5)). */
const ticksPerSecond = 100

/** User and system time so far, milliseconds; 0 of a process that is gone. */
export const cpuMsOf = (pid: number): number => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field may hold spaces; the 14th and 15th of all are the 12th and 13th after it.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ")
    return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond
  } catch {
    return 0
  }
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
