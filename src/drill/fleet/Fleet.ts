/** Thousands of idle supervisors in one child process: what a gateway holds when nobody uses it. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Data, Duration, Effect, Schedule, type Scope } from "effect"
import { installed } from "../../domain/Installation.ts"
import { limits } from "../../domain/Limits.ts"
import { insertFleet } from "./FleetRecords.ts"
import { decodeReport, type FleetReport, type FleetSpec } from "./FleetSpec.ts"

/** The fleet's process ended, or did not do what was awaited in time. */
export class FleetFailed extends Data.TaggedError("FleetFailed")<{ readonly message: string }> {}

export interface FleetOptions extends Omit<FleetSpec, "prefix"> {
  /** Distinguishes the sandboxes of one fleet from all others; at most 12 letters and digits. */
  readonly prefix: string
  readonly databaseUrl: string
  readonly clusterId: string
}

export interface Fleet {
  readonly pid: number
  /** What the fleet last said of itself. */
  readonly report: () => FleetReport
  /** Completes when the report satisfies the condition. */
  readonly until: (
    what: string,
    condition: (report: FleetReport) => boolean,
    timeoutMs: number,
  ) => Effect.Effect<FleetReport, FleetFailed>
}

const program = installed("dist/FleetProgram.js")

const nothing: FleetReport = { attached: 0, attaches: 0, failures: 0, lastFailure: "", residentBytes: 0 }

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("exit", () => resume(Effect.void))
  })

/** Stores the sandboxes and starts their supervisors. They end with the scope; the records stay. */
export const start = (options: FleetOptions): Effect.Effect<Fleet, FleetFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { databaseUrl, clusterId, ...spec } = options
    yield* insertFleet({ databaseUrl, clusterId, prefix: spec.prefix, count: spec.count }).pipe(
      Effect.mapError((error) => new FleetFailed({ message: `fleet records: ${error.message}` })),
    )
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [program, JSON.stringify(spec)], {
          stdio: ["ignore", "pipe", "inherit"],
        }),
      ),
      (running) =>
        Effect.sync(() => running.kill("SIGTERM")).pipe(
          Effect.zipRight(ended(running)),
          Effect.timeoutOption(Duration.millis(limits.fleetStopMs)),
          Effect.zipRight(Effect.sync(() => running.kill("SIGKILL"))),
        ),
    )
    let latest = nothing
    createInterface({ input: child.stdout }).on("line", (line) => {
      latest = decodeReport(line) ?? latest
    })
    const running = () => child.exitCode === null && child.signalCode === null
    return {
      pid: child.pid ?? 0,
      report: () => latest,
      until: (what, condition, timeoutMs) =>
        Effect.suspend(() => {
          if (condition(latest)) return Effect.succeed(latest)
          return Effect.fail(
            running() ? ("waiting" as const) : new FleetFailed({ message: "the fleet's process ended" }),
          )
        }).pipe(
          Effect.retry({
            schedule: Schedule.spaced(Duration.millis(limits.fleetReportMs)),
            while: (error) => error === "waiting",
          }),
          Effect.catchAll((error) =>
            error === "waiting" ? Effect.die("unreachable: it is retried") : Effect.fail(error),
          ),
          Effect.timeoutFail({
            duration: Duration.millis(timeoutMs),
            onTimeout: () =>
              new FleetFailed({
                message: `not in ${timeoutMs} ms: ${what}; the fleet says ${JSON.stringify(latest)}`,
              }),
          }),
        ),
    }
  })
