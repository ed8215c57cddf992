/** The memory of the replicas, where their processes are on this machine. */
import { readFile } from "node:fs/promises"
import { Effect, Schedule, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import type { Site } from "../sites/Site.ts"

/** VmRSS of proc_pid_status(5), in KiB. */
export const residentKb = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "")
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0)
}

/** The most that any replica had at once so far, in MiB; 0 while none is known. */
export const watchMemory = (site: Site): Effect.Effect<() => number, never, Scope.Scope> =>
  Effect.gen(function* () {
    let mostKb = 0
    const look = Effect.flatMap(site.replicas, (replicas) =>
      Effect.promise(async () => {
        for (const { pid } of replicas) {
          if (pid !== undefined) mostKb = Math.max(mostKb, await residentKb(pid))
        }
      }),
    )
    yield* look.pipe(Effect.ignore, Effect.repeat(Schedule.spaced(limits.drillMemoryMs)), Effect.forkScoped)
    return () => Math.round(mostKb / 1_024)
  })
