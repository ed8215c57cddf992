Error.stackTraceLimit = 0
import { programOf } from "./Program.ts"
import { run } from "./Run.ts"

const seed = Number(process.argv[2] ?? 1)
const count = Number(process.argv[3] ?? 1)
for (let s = seed; s < seed + count; s += 1) {
  const t = performance.now()
  const program = programOf(s)
  const r = await run(program, undefined, count === 1 ? (l) => console.log(l) : undefined)
  console.log(
    s,
    r.hash,
    r.violation?.message ?? "ok",
    `${Math.round(performance.now() - t)} ms`,
    r.events,
    "events",
    Math.round(r.virtualMs),
    "virtual ms",
  )
}
process.exit(0)
