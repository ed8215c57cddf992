/** `bun run simulate`: random programs of faults against the real code, on virtual time. */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { bugs, isBug } from "./Bugs.ts"
import { corpus } from "./Corpus.ts"
import { soundRules } from "./cluster/Rules.ts"
import { type Ran, runSeeds } from "./Pool.ts"
import { type Program, programOf } from "./Program.ts"
import { run } from "./Run.ts"
import { shrink } from "./Shrink.ts"

const usage = `Runs simulated clusters from seeds, and checks every step.

  --seeds N     this many seeds (default 1000)
  --seconds N   no new seeds after this long
  --from S      the first seed (default: drawn; it is printed)
  --seed S      replay one seed with its whole trace, shrunk if it fails
  --bug NAME    with a planted mistake: ${Object.keys(bugs).join(", ")}
  --threads N   (default 2)
  --json        one JSON object at the end
  --trace FILE  with --seed: the trace goes there
`

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seconds: { type: "string", default: "36000" },
    from: { type: "string" },
    seed: { type: "string" },
    bug: { type: "string" },
    threads: { type: "string", default: "2" },
    trace: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const { bug, json } = values
const rules = bug !== undefined && isBug(bug) ? bugs[bug].rules : () => soundRules

/** A program in as few words as it can be replayed from. */
const show = ({ seed, shape, actions, ghost }: Program): string =>
  [
    `seed ${seed}, ${JSON.stringify(shape)}${ghost ? ", the first supervisor falls silent at the end" : ""}`,
    ...actions.map(({ atMs, ...deed }) => `  ${String(atMs).padStart(6)} ms  ${JSON.stringify(deed)}`),
  ].join("\n")

const replay = async (program: Program): Promise<boolean> => {
  const lines: Array<string> = []
  const result = await run(program, rules(), (line) => {
    if (values.trace !== undefined) lines.push(line)
    else if (!json) say(line)
  })
  if (values.trace !== undefined) writeFileSync(values.trace, `${lines.join("\n")}\n`)
  const { violation, hash, virtualMs } = result
  if (violation === undefined) {
    if (json) say(JSON.stringify({ seed: program.seed, hash, virtualMs, violation: null }))
    else say(`seed ${program.seed}: all promises kept in ${Math.round(virtualMs)} virtual ms, trace ${hash}`)
    return true
  }
  const smaller = await shrink(program, result, rules)
  if (json)
    say(
      JSON.stringify({
        seed: program.seed,
        hash,
        virtualMs,
        violation: violation.message,
        shrunk: smaller.program,
      }),
    )
  else {
    say(`seed ${program.seed}: ${violation.message}; trace ${hash}`)
    say(`shrunk in ${smaller.runs} runs to ${smaller.program.actions.length} actions:`)
    say(show(smaller.program))
  }
  return false
}

function* drawn(from: number, count: number, untilMs: number): Generator<number> {
  for (let seed = from; seed < from + count && performance.now() < untilMs; seed += 1) yield seed
}

const many = async (): Promise<boolean> => {
  const count = Number(values.seeds)
  const from = values.from === undefined ? 1 + Math.floor(Math.random() * 1e9) : Number(values.from)
  const beganMs = performance.now()
  const failed: Array<Ran> = []
  let done = 0
  let virtualMs = 0
  let past = 0
  if (bug === undefined)
    for (const { about, program } of corpus()) {
      past += 1
      const { violation, hash, virtualMs: ms } = await run(program, rules())
      if (violation !== undefined)
        failed.push({ seed: program.seed, hash, virtualMs: ms, violation: `${about}: ${violation.message}` })
    }
  await runSeeds({
    seeds: drawn(from, count, beganMs + Number(values.seconds) * 1_000),
    threads: Number(values.threads),
    bug,
    ran: (ran) => {
      done += 1
      virtualMs += ran.virtualMs
      if (ran.violation === undefined) return false
      failed.push(ran)
      if (!json) say(`seed ${ran.seed}: ${ran.violation}; trace ${ran.hash}`)
      return bug !== undefined
    },
  })
  const seconds = (performance.now() - beganMs) / 1_000
  const summary = {
    from,
    seeds: done,
    corpus: past,
    violations: failed.length,
    failed: failed.map(({ seed, violation }) => ({ seed, violation })),
    seconds: Number(seconds.toFixed(1)),
    seedsPerSecond: Number((done / seconds).toFixed(1)),
    virtualHours: Number((virtualMs / 3_600_000).toFixed(2)),
  }
  if (json) say(JSON.stringify(summary))
  else {
    say(
      `${done} seeds from ${from} and ${past} past failures: ${failed.length} violations; ${summary.virtualHours} virtual hours in ${summary.seconds} s (${summary.seedsPerSecond} seeds/s)`,
    )
    if (failed[0] !== undefined)
      say(`replay with --seed ${failed[0].seed}${bug === undefined ? "" : ` --bug ${bug}`}`)
  }
  return failed.length === 0
}

if (values.help) {
  say(usage)
  process.exit(0)
}
if (bug !== undefined && !isBug(bug)) {
  say(`unknown bug '${bug}'; one of ${Object.keys(bugs).join(", ")}`)
  process.exit(2)
}
Error.stackTraceLimit = 0
const sound = values.seed === undefined ? await many() : await replay(programOf(Number(values.seed)))
process.exit(sound ? 0 : 1)
