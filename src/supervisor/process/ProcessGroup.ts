import { readFileSync } from "node:fs"
import { limits } from "../../domain/Limits.ts"

/** Sends a signal, or with 0 only asks; false when the group has no process. Group 0 would be our own. */
export const signalGroup = (group: number, signal: NodeJS.Signals | 0): boolean => {
  if (group <= 1) return false
  try {
    return process.kill(-group, signal)
  } catch {
    return false
  }
}

/** The group that owns the terminal of `pid`: what a Ctrl-C there would reach. Undefined without a terminal. */
export const foregroundGroup = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The command name, in parentheses, may hold spaces: fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    const group = Number(fields[5])
    return Number.isInteger(group) && group > 0 ? group : undefined
  } catch {
    return undefined
  }
}

export interface Terminable {
  readonly pid: number
  readonly exited: Promise<unknown>
  readonly release: () => void
}

/**
 * Ends a process whose user is gone: HUP and TERM to its group and to the foreground group of its terminal,
 * CONT so that stopped ones hear it, KILL to whatever is left of the groups after the grace.
 * Resolves when the process has ended; members of its groups may have outlived it until the KILL.
 */
export const terminate = async (
  child: Terminable,
  graceMs: number = limits.childKillGraceMs,
): Promise<void> => {
  const groups = new Set([child.pid, foregroundGroup(child.pid) ?? child.pid])
  const send = (signal: NodeJS.Signals): void => {
    for (const group of groups) signalGroup(group, signal)
  }
  for (const signal of ["SIGHUP", "SIGTERM", "SIGCONT"] as const) send(signal)
  child.release()
  const deadline = performance.now() + graceMs
  while (groupsExist(groups) && performance.now() < deadline) await delay(limits.groupPollMs)
  send("SIGKILL")
  await child.exited
}

const groupsExist = (groups: ReadonlySet<number>): boolean =>
  [...groups].some((group) => signalGroup(group, 0))

const delay = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms).unref())
