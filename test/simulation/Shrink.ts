/** Makes a failing program smaller while it still breaks the same promise. */
import type { Rules } from "./cluster/Rules.ts"
import type { Action, Program } from "./Program.ts"
import { type Result, run } from "./Run.ts"

/** Runs that a shrink may take. */
const shrinkRuns = 150

export interface Shrunk {
  readonly program: Program
  readonly result: Result
  readonly runs: number
}

export const shrink = async (program: Program, failed: Result, rules: () => Rules): Promise<Shrunk> => {
  let best: Shrunk = { program, result: failed, runs: 0 }
  let runs = 0
  const fails = async (candidate: Program): Promise<boolean> => {
    if (runs >= shrinkRuns) return false
    runs += 1
    const result = await run(candidate, rules())
    if (result.violation?.kind !== failed.violation?.kind) return false
    best = { program: candidate, result, runs }
    return true
  }
  const without = (actions: ReadonlyArray<Action>, at: number, count: number) =>
    actions.filter((_, index) => index < at || index >= at + count)

  // Whole stretches of actions first, then single ones.
  for (let size = Math.ceil(program.actions.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let at = 0; at < best.program.actions.length; ) {
      const smaller = { ...best.program, actions: without(best.program.actions, at, size) }
      if (!(await fails(smaller))) at += size
    }
  if (best.program.ghost) await fails({ ...best.program, ghost: false })
  for (const part of ["replicas", "sandboxes", "shards"] as const)
    while (best.program.shape[part] > 1) {
      const shape = { ...best.program.shape, [part]: best.program.shape[part] - 1 }
      if (!(await fails({ ...best.program, shape }))) break
    }
  const last = best.program.actions.at(-1)?.atMs ?? 0
  if (last + 1 < best.program.shape.faultsMs)
    await fails({ ...best.program, shape: { ...best.program.shape, faultsMs: last + 1 } })
  return { ...best, runs }
}
