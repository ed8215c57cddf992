/** `bun run fuzz`: random and spoiled frames at a real gateway. */
import { bounds, fuzz } from "./Fuzz.ts"

const usage = `bun run fuzz [--frames N] [--seed S] [--json]

  --frames  how many frames; default 1000000
  --seed    what is drawn; default: a random one, which is printed
  --json    the report as JSON on stdout
`

const numberOf = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(name)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} needs a whole number`)
  return value
}

const main = async (): Promise<number> => {
  if (process.argv.includes("--help")) {
    process.stdout.write(usage)
    return 0
  }
  const json = process.argv.includes("--json")
  const seed = numberOf("--seed", Math.floor(Math.random() * 1e9))
  const say = (text: string): void => {
    ;(json ? process.stderr : process.stdout).write(`${text}\n`)
  }
  say(`seed ${seed}`)
  const report = await fuzz({ frames: numberOf("--frames", 1_000_000), seed, say })
  for (const [method, found] of Object.entries(report.statuses))
    say(
      `${method.padEnd(24)} ${Object.entries(found)
        .map(([status, times]) => `${status}: ${times}`)
        .join(", ")}`,
    )
  const { frames, calls, noises, seconds, crashes, hangs, warm, end } = report
  say(
    `${frames} frames in ${calls} calls and ${noises} raw connections, ${seconds} s: ${crashes} crashes, ${hangs} hangs`,
  )
  say(
    `heap ${warm.heapMb} to ${end.heapMb} MB (bound +${bounds.heapMb}), resident ${warm.rssMb} to ${end.rssMb} MB (bound +${bounds.rssMb}), messages in memory ${warm.buffersMb} to ${end.buffersMb} MB (bound +${bounds.buffersMb})`,
  )
  for (const problem of [...new Set(report.problems)].slice(0, 20)) say(`PROBLEM ${problem}`)
  for (const line of report.errors.slice(0, 20)) say(`        ${line.slice(0, 400)}`)
  if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
  return report.problems.length === 0 ? 0 : 1
}

// Not by an empty event loop: node 24 was seen to wait for ever for a handle of a client session that it had freed.
process.exit(
  await main().catch((error: unknown) => {
    process.stderr.write(`fuzz: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return 1
  }),
)
