/** Runs seeds in a thread of its own. */
import { parentPort, workerData } from "node:worker_threads"
import { bugs, isBug } from "./Bugs.ts"
import { soundRules } from "./cluster/Rules.ts"
import { programOf } from "./Program.ts"
import { run } from "./Run.ts"

// Errors are made by the thousand here and nobody reads where.
Error.stackTraceLimit = 0

const bug: unknown = workerData
const rules = typeof bug === "string" && isBug(bug) ? bugs[bug].rules : () => soundRules

parentPort?.on("message", async (seed: number) => {
  const { violation, hash, virtualMs } = await run(programOf(seed), rules())
  parentPort?.postMessage({ seed, hash, virtualMs, violation: violation?.message })
})
parentPort?.postMessage("ready")
