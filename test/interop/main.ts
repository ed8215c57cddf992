/** `bun run interop`: OpenShell's own tools against three replicas, one line per case. */
import { methodPaths } from "../../src/api/Api.ts"
import { type App, type Case, type Kind, Use } from "./cases/Case.ts"
import { cases } from "./cases/Cases.ts"
import { checkFiles } from "./cases/Python.ts"
import { type Options, parse, usage } from "./Options.ts"
import { line, type Report, type Row, summary } from "./Report.ts"
import { type Roll, roll } from "./Roll.ts"
import { Failed } from "./Run.ts"
import { Stage } from "./Stage.ts"
import { prepare } from "./tools/Tools.ts"

/** No case takes this long unless something in it hangs. */
const caseMs = 240_000
const served = new Set(methodPaths.map((path) => path.split("/")[2]))

const textOf = (error: unknown): string =>
  error instanceof Failed
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)

const within = <A>(work: Promise<A>, what: string): Promise<A> => {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Failed(`${what} did not end in ${caseMs} ms`)), caseMs)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}

const runCase = async (one: Case, use: Use): Promise<Omit<Row, "case" | "supervisor" | "ms">> => {
  if (one.needs !== undefined && !served.has(one.needs)) return { result: "not yet", detail: one.needs }
  try {
    await within(one.run(use), one.name)
    return { result: "ok", detail: "" }
  } catch (error) {
    return { result: "failed", detail: textOf(error) }
  } finally {
    await use.end()
  }
}

const perform = async (options: Options, say: (text: string) => void): Promise<Report> => {
  const startedMs = performance.now()
  await checkFiles()
  const tools = await prepare()
  const stage = await Stage.start({ tools, roll: options.roll })
  let rolling: Roll | undefined
  const rows: Array<Row> = []
  const interrupted = Promise.withResolvers<never>()
  const interrupt = (): void => interrupted.reject(new Failed("interrupted"))
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, interrupt)
  interrupted.promise.catch(() => {})
  try {
    if (options.roll) rolling = roll(stage.cluster)
    const shared = new Map<Kind, Promise<App>>()
    const kinds: ReadonlyArray<Kind> =
      options.supervisor === undefined ? ["own", "ref"] : [options.supervisor]
    for (const one of cases) {
      if (options.pattern?.test(one.name) === false) continue
      for (const kind of one.supervisors === "none" ? kinds.slice(0, 1) : kinds) {
        const beganMs = performance.now()
        const found = await Promise.race([runCase(one, new Use(stage, kind, shared)), interrupted.promise])
        const ms = Math.round(performance.now() - beganMs)
        const row: Row = { case: one.name, supervisor: one.supervisors === "none" ? "" : kind, ms, ...found }
        rows.push(row)
        say(line(row))
        if (row.result === "failed") say(row.detail.replaceAll(/^/gm, "    "))
      }
    }
    await rolling?.end().catch((error: unknown) => {
      const row: Row = {
        case: "the roll itself",
        supervisor: "",
        result: "failed",
        ms: 0,
        detail: textOf(error),
      }
      rows.push(row)
      say(`${line(row)}\n${row.detail}`)
    })
    return {
      tools: tools.description,
      replicas: stage.cluster.names.length,
      roll: options.roll,
      restarts: rolling?.restarts() ?? 0,
      seconds: Math.round((performance.now() - startedMs) / 1_000),
      rows,
    }
  } finally {
    await rolling?.end().catch(() => {})
    await stage.stop()
  }
}

const main = async (): Promise<number> => {
  const options = parse(process.argv.slice(2))
  if (options === "help") {
    process.stdout.write(usage)
    return 0
  }
  const say = (text: string): void => {
    if (options.json) process.stderr.write(`${text}\n`)
    else process.stdout.write(`${text}\n`)
  }
  const report = await perform(options, say)
  say(summary(report))
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
  return report.rows.some(({ result }) => result === "failed") || report.rows.length === 0 ? 1 : 0
}

const exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`interop: ${textOf(error)}\n`)
  return 1
})
// Not by an empty event loop: node 24 was seen to spin for ever over a handle of a client session that it had freed.
// What was written to pipes goes out first.
await Promise.all(
  [process.stdout, process.stderr].map((stream) => new Promise((resolve) => stream.write("", resolve))),
)
process.exit(exitCode)
