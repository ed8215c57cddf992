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

/** What each part used between two readings, per gigabyte; parts that did next to nothing left out. */
export const perGigabyte = (before: CpuTimes, after: CpuTimes, bytes: number): CpuTimes =>
  Object.fromEntries(
    Object.entries(after).flatMap(([part, ms]) => {
      const used = (ms - (before[part] ?? 0)) / (bytes / 1e9)
      return used < 20 ? [] : [[part, used]]
    }),
  )
