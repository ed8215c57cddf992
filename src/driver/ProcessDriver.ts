/**
 * Sandboxes as process trees of this machine, each in a directory of its own.
 *
 * THIS DRIVER ISOLATES NOTHING. A sandbox runs as the gateway's user, sees the whole file system and network
 * of the machine, and can read the files of other sandboxes. It is for trying Holdfast out, for tests, and
 * for code that you would run in your own shell.
 *
 * All replicas of a machine share the directories. Nothing is remembered in memory: which process runs a
 * sandbox is read from its directory and /proc each time, so a replica finds what a dead one started, and
 * operations on one sandbox exclude each other by a lock that the kernel frees with its holder.
 */
import { spawn } from "node:child_process"
import path from "node:path"
import { Clock, Effect, Layer, Redacted, Schedule } from "effect"
import packageJson from "../../package.json" with { type: "json" }
import {
  FailedPrecondition,
  Internal,
  InvalidArgument,
  type PublicError,
  Unavailable,
} from "../domain/Errors.ts"
import { mainModule } from "../domain/Installation.ts"
import { limits } from "../domain/Limits.ts"
import { supervisorNodeFlags } from "../domain/NodeFlags.ts"
import { Driver, type DriverObservation, type DriverSandbox } from "./Driver.ts"
import * as KeyedLock from "./KeyedLock.ts"
import * as Proc from "./Proc.ts"
import { endTree, membersOf } from "./ProcessTree.ts"
import * as Files from "./SandboxFiles.ts"
import * as Environment from "./SupervisorEnvironment.ts"

export interface ProcessDriverConfig {
  /** Sandboxes live in `<stateDir>/sandboxes`. */
  readonly stateDir: string
  /** URL that supervisors dial. */
  readonly endpoint: string
  /** Log level of supervisors whose sandbox names none. */
  readonly logLevel: string
  /** PEM file by which supervisors know the gateway at an https:// endpoint. */
  readonly ca?: string | undefined
  /** Program and first arguments of the supervisor, in place of this installation's own; `--workdir` follows. */
  readonly command?: ReadonlyArray<string>
  /** Time between TERM and KILL, in place of the limit. */
  readonly stopGraceMs?: number
}

const io = <A>(what: string, run: () => Promise<A>): Effect.Effect<A, Internal> =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      new Internal({
        message: `process driver: ${what}: ${error instanceof Error ? error.message : String(error)}`,
      }),
  })

const checkId = (id: string): Effect.Effect<void, InvalidArgument> =>
  Files.isSafeId(id)
    ? Effect.void
    : new InvalidArgument({ message: "the sandbox id is not usable as a directory name" })

const validate = (sandbox: DriverSandbox): Effect.Effect<void, InvalidArgument | FailedPrecondition> =>
  Effect.gen(function* () {
    yield* checkId(sandbox.id)
    if (sandbox.spec.gpu !== undefined) {
      return yield* new FailedPrecondition({
        message: "the process driver cannot assign GPUs; leave out the GPU request",
      })
    }
    const strings = {
      "the environment": `OPENSHELL_USER_ENVIRONMENT=${Environment.userEnvironment(sandbox)}`,
      "the command": `OPENSHELL_MAIN_PROCESS_SPEC=${Environment.mainProcessSpec(sandbox)}`,
    }
    for (const [what, value] of Object.entries(strings)) {
      if (Buffer.byteLength(value) > limits.environmentStringBytes) {
        return yield* new InvalidArgument({
          message: `${what} is too long for the process driver: at most ${limits.environmentStringBytes} bytes as JSON`,
        })
      }
    }
  })

const sameCommand = (pid: number, argv: ReadonlyArray<string>): boolean => {
  const found = Proc.commandLine(pid)
  return found.length === argv.length && found.every((argument, index) => argument === argv[index])
}

const make = (config: ProcessDriverConfig): typeof Driver.Service => {
  const command = config.command ?? [process.execPath, ...supervisorNodeFlags, mainModule, "supervisor"]
  const root = Files.sandboxesDir(config.stateDir)
  const filesOf = (id: string) => Files.filesOf(config.stateDir, id)

  /** One operation at a time per sandbox on this machine. */
  const exclusively = <A, E>(
    id: string,
    work: Effect.Effect<A, E>,
  ): Effect.Effect<A, E | InvalidArgument | Unavailable> =>
    checkId(id).pipe(
      Effect.zipRight(KeyedLock.hold("sandbox", path.join(root, id))),
      Effect.retry({
        while: (error) => error._tag === "LockHeld",
        schedule: Schedule.spaced(limits.driverLockPollMs).pipe(Schedule.upTo(limits.driverLockWaitMs)),
      }),
      Effect.catchTag(
        "LockHeld",
        () =>
          new Unavailable({ message: `sandbox ${id} is busy: another replica is starting or stopping it` }),
      ),
      Effect.zipRight(work),
      Effect.scoped,
    )

  const running = (id: string, supervisor: Proc.ProcessIdentity): DriverObservation => ({
    id,
    state: "running",
    instanceId: `${supervisor.pid}-${supervisor.startTicks}`,
    detail: `supervisor runs as pid ${supervisor.pid}`,
  })

  /** The process that the directory names, if it is still that process. */
  const liveSupervisor = (
    files: Files.SandboxFiles,
  ): Effect.Effect<Proc.ProcessIdentity | undefined, Internal> =>
    io("cannot read which process runs a sandbox", () => Files.readSupervisor(files)).pipe(
      Effect.map((record) => (record !== undefined && Proc.isAlive(record) ? record : undefined)),
    )

  const stoppedDetail = (files: Files.SandboxFiles): Effect.Effect<string, Internal> =>
    io("cannot read how a sandbox ended", () => Files.readLastExit(files)).pipe(
      Effect.map((exit) => {
        if (exit === undefined) return "no process"
        return `supervisor (pid ${exit.pid}) ended by ${exit.signal ?? `code ${exit.code}`}; its log is ${files.log}`
      }),
    )

  const observe = (id: string): Effect.Effect<DriverObservation, Internal | InvalidArgument> =>
    Effect.gen(function* () {
      yield* checkId(id)
      const files = filesOf(id)
      const supervisor = yield* liveSupervisor(files)
      if (supervisor !== undefined) {
        yield* io("cannot bound a log", () => Files.boundLog(files))
        return running(id, supervisor)
      }
      if (yield* io("cannot look for a sandbox", () => Files.isPresent(files))) {
        return { id, state: "stopped" as const, instanceId: "", detail: yield* stoppedDetail(files) }
      }
      return { id, state: "absent" as const, instanceId: "", detail: "no directory" }
    })

  const record = (
    files: Files.SandboxFiles,
    supervisor: Proc.ProcessIdentity,
  ): Effect.Effect<void, Internal> =>
    Clock.currentTimeMillis.pipe(
      Effect.flatMap((startedAtMs) =>
        io("cannot record a supervisor", () => Files.writeSupervisor(files, { ...supervisor, startedAtMs })),
      ),
    )

  const launch = (sandbox: DriverSandbox, files: Files.SandboxFiles, argv: ReadonlyArray<string>) =>
    Effect.async<Proc.ProcessIdentity, Internal>((resume) => {
      const child = Files.openLog(files, (log) =>
        spawn(argv[0] ?? process.execPath, argv.slice(1), {
          cwd: files.workspace,
          // A session of its own: signals to the gateway's terminal or group do not reach it.
          detached: true,
          env: Environment.supervisorEnvironment(sandbox, files, config, process.env),
          stdio: ["ignore", log, log],
        }),
      )
      child.once("error", (error) =>
        resume(new Internal({ message: `process driver: the supervisor does not start: ${error.message}` })),
      )
      child.once("spawn", () => {
        const pid = child.pid ?? 0
        // A process that ended at once leaves no start time; it then counts as stopped.
        resume(Effect.succeed(Proc.identify(pid) ?? { pid, startTicks: 0 }))
      })
      child.once("exit", (code, signal) => Files.recordExit(files, { pid: child.pid ?? 0, code, signal }))
      child.unref()
    })

  const ensureRunning = (sandbox: DriverSandbox): Effect.Effect<DriverObservation, PublicError> =>
    Effect.gen(function* () {
      yield* validate(sandbox)
      const files = filesOf(sandbox.id)
      const known = yield* liveSupervisor(files)
      if (known !== undefined) return running(sandbox.id, known)

      yield* io("cannot make the directory of a sandbox", () => Files.makeDirectories(files))
      const argv = [...command, "--workdir", files.workspace]
      const members = yield* membersOf(sandbox.id)
      // A replica may die between the start of a supervisor and the record of it.
      const unrecorded = members.find((member) => sameCommand(member.pid, argv))
      if (unrecorded !== undefined) {
        yield* record(files, unrecorded)
        return running(sandbox.id, unrecorded)
      }
      // Children that outlived a killed supervisor: beside a new one the sandbox would run twice.
      yield* endTree(sandbox.id, undefined, config.stopGraceMs)

      yield* io("cannot write the token of a sandbox", () =>
        Files.writeToken(files, Redacted.value(sandbox.token)),
      )
      yield* io("cannot bound a log", () => Files.boundLog(files))
      yield* launch(sandbox, files, argv).pipe(
        Effect.flatMap((supervisor) => record(files, supervisor)),
        Effect.uninterruptible,
      )
      return yield* observe(sandbox.id)
    }).pipe((work) => exclusively(sandbox.id, work))

  const stopNow = (id: string): Effect.Effect<void, Internal> =>
    liveSupervisor(filesOf(id)).pipe(
      Effect.flatMap((supervisor) => endTree(id, supervisor, config.stopGraceMs)),
    )

  return Driver.of({
    name: "process",
    version: packageJson.version,
    validate,
    create: ensureRunning,
    start: ensureRunning,
    observe,
    stop: (id) => exclusively(id, stopNow(id)),
    delete: (id) =>
      exclusively(
        id,
        Effect.gen(function* () {
          yield* stopNow(id)
          const files = filesOf(id)
          if (!(yield* io("cannot look for a sandbox", () => Files.isPresent(files)))) return false
          yield* io("cannot remove a sandbox", () => Files.remove(config.stateDir, files))
          return true
        }),
      ),
    list: io("cannot list sandboxes", () => Files.listIds(config.stateDir)).pipe(
      Effect.flatMap(Effect.forEach(observe)),
      Effect.map((found) => found.filter(({ state }) => state !== "absent")),
    ),
  })
}

export const layer = (config: ProcessDriverConfig): Layer.Layer<Driver> =>
  Layer.sync(Driver, () => make(config))
