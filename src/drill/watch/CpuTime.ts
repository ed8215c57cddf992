/** Processor time of the processes of this machine. */
import { statFields } from "../../driver/Proc.ts"

/** USER_HZ of proc_pid_stat(5): 100 on every Linux that Node runs on. */
const tickMs = 10

/** Where utime and stime stand among `statFields`. */
const own = [11, 12]

/** The sum of fields that count clock ticks, in milliseconds; missing ones are 0. */
export const ticksMs = (fields: ReadonlyArray<string>, at: ReadonlyArray<number>): number =>
  at.reduce((sum, index) => sum + Number(fields[index] ?? 0), 0) * tickMs

/** User and system time so far, milliseconds; 0 of a process that is gone. */
export const cpuMsOf = (pid: number): number => ticksMs(statFields(pid), own)
