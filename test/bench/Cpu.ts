/** CPU time of processes, from /proc. */
import { cpuMsOf, ticksMs } from "../../src/drill/watch/CpuTime.ts"
import { allPids, statFields } from "../../src/driver/Proc.ts"

/** Where the user and system times of children that have ended stand among `statFields`. */
const ended = [13, 14]

/** That of a process and its children, those that have ended too: of a server with a process per connection. */
export const familyCpuMsOf = (pid: number): number => {
  const children = allPids().filter((one) => statFields(one)[1] === String(pid))
  const ofChildren = children.reduce((sum, one) => sum + cpuMsOf(one), 0)
  return cpuMsOf(pid) + ticksMs(statFields(pid), ended) + ofChildren
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
