/** `bun run bench`: prints what this checkout does on this machine, beside what the machine itself can do. */
import { execFileSync } from "node:child_process"
import { cpus, loadavg, release, totalmem } from "node:os"
import { Cause, Effect, Exit, Fiber, Logger, LogLevel, Option } from "effect"
import { BenchError } from "./BenchError.ts"
import * as Fixture from "./Fixture.ts"
import * as Helper from "./Helper.ts"
import { type Options, parse, usage } from "./Options.ts"
import { type Report, type Row, render } from "./Report.ts"
import { bulk, verify } from "./rows/Bulk.ts"
import { control } from "./rows/Control.ts"
import { failover } from "./rows/Failover.ts"
import { open, roundTrip } from "./rows/Latency.ts"
import * as Ways from "./Ways.ts"

/** A run that takes longer is stuck. */
const limitMs = { quick: 120_000, full: 1_800_000 } as const
/** Left for stopping and reporting what was measured. */
const reserveMs = 15_000

const limitOf = ({ quick, kills }: Options): number =>
  quick && kills === undefined ? limitMs.quick : limitMs.full

const say = (text: string) => Effect.sync(() => process.stderr.write(`${text}\n`))

const commit = (): string => {
  try {
    const git = (...args: ReadonlyArray<string>) =>
      execFileSync("git", [...args], { cwd: import.meta.dirname, encoding: "utf8", stdio: "pipe" }).trim()
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "../../src") === "" ? "" : " with changes"}`
  } catch {
    return "unknown"
  }
}

const measure = (options: Options, startedAt: number, loadBefore: number) =>
  Effect.gen(function* () {
    const { sizes, only } = options
    const rows: Array<Row> = []
    const notes: Array<string> = []
    const failures: Array<string> = []
    const seconds = () => ((performance.now() - startedAt) / 1_000).toFixed(1)
    const leftMs = () => limitOf(options) - reserveMs - (performance.now() - startedAt)
    /** What fails or takes too long is reported beside what was measured. */
    const group = (name: Options["only"][number], work: Effect.Effect<ReadonlyArray<Row>, BenchError>) =>
      only.includes(name)
        ? say(`${seconds()} s: ${name}`).pipe(
            Effect.zipRight(work),
            Effect.timeoutFail({
              duration: Math.max(0, leftMs()),
              onTimeout: () => new BenchError({ message: "not measured to the end, the time is up" }),
            }),
            Effect.tap((found) => Effect.sync(() => rows.push(...found))),
            Effect.catchAll((error) => Effect.sync(() => failures.push(`${name}: ${error.message}`))),
          )
        : Effect.void

    const load = yield* Helper.loadGenerator
    yield* group("control", Effect.scoped(control(load, options)))
    const relays = Effect.gen(function* () {
      yield* say("starting Postgres and three replicas")
      const fixture = yield* Fixture.start(options)
      if (only.some((name) => name !== "failover" && name !== "control")) {
        const ways = yield* Ways.prepare(fixture, load, !options.quick)
        notes.push(...ways.notes)
        yield* verify(load, ways)
        yield* group("open", open(load, ways, sizes))
        yield* group("roundtrip", roundTrip(load, ways, sizes))
        yield* group("bulk", bulk(load, ways, sizes))
      }
      yield* group(
        "failover",
        Effect.map(failover(fixture, load, sizes), (found) => {
          notes.push(...found.notes)
          return found.rows
        }),
      )
    })
    if (only.some((name) => name !== "control")) yield* relays
    yield* say(`${seconds()} s: stopping`)
    const report: Report = {
      date: new Date().toISOString(),
      commit: commit(),
      command: `bun run bench ${process.argv.slice(2).join(" ")}`.trim(),
      machine: {
        cpu: cpus()[0]?.model ?? "unknown",
        cores: cpus().length,
        memoryGb: Math.round(totalmem() / 2 ** 30),
        kernel: release(),
        node: process.versions.node,
        loadBefore,
        loadAfter: loadavg()[0] ?? 0,
      },
      seconds: Number(seconds()),
      notes,
      failures,
      rows,
    }
    return report
  })

const program = (options: Options): Effect.Effect<number> =>
  Effect.suspend(() =>
    measure(options, performance.now(), loadavg()[0] ?? 0).pipe(
      Effect.scoped,
      Effect.timeoutFail({
        duration: limitOf(options),
        onTimeout: () => new BenchError({ message: "the benchmark did not end in time" }),
      }),
      Effect.map((report) => {
        if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
        else process.stdout.write(`\n${render(report)}`)
        if (options.json) process.stderr.write(`\n${render(report)}`)
        return report.failures.length === 0 ? 0 : 1
      }),
      Effect.catchAllCause((cause) => {
        if (Cause.isInterruptedOnly(cause)) return Effect.as(say("bench: interrupted"), 130)
        const failure = Option.getOrUndefined(Cause.failureOption(cause))
        return Effect.as(say(`bench: ${failure?.message ?? Cause.pretty(cause)}`), 1)
      }),
      Logger.withMinimumLogLevel(LogLevel.Warning),
    ),
  )

const options = parse(process.argv.slice(2))
if (options === "help") process.stdout.write(usage)
else if (options instanceof BenchError) {
  process.stderr.write(`bench: ${options.message}\n\n${usage}`)
  process.exitCode = 2
} else {
  const running = Effect.runFork(program(options))
  const stop = (): void => {
    process.exitCode = 130
    Effect.runFork(Fiber.interrupt(running))
  }
  process.once("SIGINT", stop)
  process.once("SIGTERM", stop)
  running.addObserver((exit) => {
    process.off("SIGINT", stop)
    process.off("SIGTERM", stop)
    process.exit(Exit.isSuccess(exit) ? exit.value : (process.exitCode ?? 1))
  })
}
