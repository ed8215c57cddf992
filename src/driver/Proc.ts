/**
 * Processes of this machine as /proc shows them. A process is named by its pid and its start time, because
 * the kernel uses pids again: pid alone would let us kill a stranger.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { Effect, Schedule } from "effect"
import { limits } from "../domain/Limits.ts"

/** `startTicks`: clock ticks between boot and the start of the process (field 22 of /proc/<pid>/stat, proc(5)). */
export interface ProcessIdentity {
  readonly pid: number
  readonly startTicks: number
}

interface Stat extends ProcessIdentity {
  readonly parent: number
  readonly group: number
}

/** What /proc/<pid>/stat says from its third field on; empty when there is no such process. */
export const statFields = (pid: number): ReadonlyArray<string> => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The second field is the command name in parentheses and may itself hold spaces and parentheses.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return []
  }
}

/** undefined when there is no such process, or only its unreaped remains (a zombie runs nothing). */
const readStat = (pid: number): Stat | undefined => {
  const fields = statFields(pid)
  const state = fields[0]
  if (state === undefined || state === "Z" || state === "X") return undefined
  return { pid, parent: Number(fields[1]), group: Number(fields[2]), startTicks: Number(fields[19]) }
}

export const identify = (pid: number): ProcessIdentity | undefined => {
  const stat = readStat(pid)
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks }
}

export const isAlive = (identity: ProcessIdentity): boolean =>
  readStat(identity.pid)?.startTicks === identity.startTicks

/** Argument vector of a process; empty when it is gone or not ours to read. */
export const commandLine = (pid: number): ReadonlyArray<string> => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1)
  } catch {
    return []
  }
}

/** Working directory of a process, or undefined when it cannot be read. */
export const workingDirectory = (pid: number): string | undefined => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

/** Every process of the machine but this one. */
export const allPids = (): ReadonlyArray<number> => {
  const pids: Array<number> = []
  for (const name of readdirSync("/proc")) {
    const pid = Number(name)
    if (Number.isInteger(pid) && pid > 0 && pid !== process.pid) pids.push(pid)
  }
  return pids
}

const hasEnvironmentEntry = (pid: number, entry: Buffer): Promise<boolean> =>
  readFile(`/proc/${pid}/environ`).then(
    (environ) => {
      const at = environ.indexOf(entry)
      if (at < 0) return false
      return (at === 0 || environ[at - 1] === 0) && (environ[at + entry.length] ?? 0) === 0
    },
    // Gone meanwhile, or another user's process: not one of ours either way.
    () => false,
  )

/**
 * Processes that were started with the environment entry `NAME=value`, whoever their parent is now: children
 * that daemonized keep it. This process itself is never among them.
 */
export const findByEnvironment = (entry: string): Effect.Effect<ReadonlyArray<ProcessIdentity>> =>
  Effect.suspend(() => {
    const bytes = Buffer.from(entry)
    return Effect.forEach(
      allPids(),
      (pid) =>
        Effect.promise(() => hasEnvironmentEntry(pid, bytes)).pipe(
          Effect.map((found) => (found ? identify(pid) : undefined)),
        ),
      { concurrency: limits.procScanConcurrency },
    ).pipe(Effect.map((found) => found.filter((identity) => identity !== undefined)))
  })

/** A live process with its descendants and the members of its process group; empty once it is gone. */
export const family = (root: ProcessIdentity): ReadonlyArray<ProcessIdentity> => {
  const stats = allPids().flatMap((pid) => readStat(pid) ?? [])
  // Without the root its number may already name a stranger's group.
  if (!stats.some((stat) => stat.pid === root.pid && stat.startTicks === root.startTicks)) return []
  const members = new Set([root.pid])
  for (const stat of stats) if (stat.group === root.pid) members.add(stat.pid)
  // Each pass adds one generation at least, so the number of processes bounds the passes.
  for (let pass = 0; pass < stats.length; pass++) {
    const before = members.size
    for (const stat of stats) if (members.has(stat.parent)) members.add(stat.pid)
    if (members.size === before) break
  }
  return stats.filter((stat) => members.has(stat.pid)).map(({ pid, startTicks }) => ({ pid, startTicks }))
}

/** Sends a signal if that very process still runs; true when it was sent. */
export const signal = (target: ProcessIdentity, name: NodeJS.Signals): boolean => {
  if (!isAlive(target)) return false
  try {
    process.kill(target.pid, name)
    return true
  } catch {
    return false
  }
}

/**
 * True when all are gone within the time. Looks only at these, so it is cheap; a schedule ends it rather than
 * an interruption, so that it also ends inside finalizers.
 */
export const waitForEnd = (
  processes: ReadonlyArray<ProcessIdentity>,
  timeoutMs: number,
): Effect.Effect<boolean> => {
  const someAlive = Effect.sync(() => processes.some(isAlive))
  return someAlive.pipe(
    Effect.repeat({
      while: (alive) => alive,
      schedule: Schedule.spaced(limits.processPollMs).pipe(Schedule.upTo(timeoutMs)),
    }),
    Effect.zipRight(someAlive),
    Effect.map((alive) => !alive),
  )
}
