/**
 * The agent inside a sandbox: it dials out to the gateway cluster, serves the relays that come back, and keeps
 * the sandbox's main process.
 *
 *   gateway ◄── session, relays ── SessionLoop ── Relays ──► SshServer ──► Launcher, MainProcess
 *           ◄── calls ──────────── Settings, TokenRefresh, LogPush, ExitReport   └─► loopback TCP
 */
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import { Clock, Effect, Fiber, Layer, Logger, LogLevel, type Scope } from "effect"
import { limits } from "../domain/Limits.ts"
import * as ProcessLock from "../domain/ProcessLock.ts"
import { jsonLines } from "../observe/Logs.ts"
import type { GrpcConnection } from "../wire/grpc/GrpcClient.ts"
import { reportExit } from "./gateway/ExitReport.ts"
import { GatewayLink, readTls } from "./gateway/GatewayLink.ts"
import { makeQueue, pushLogs, queueLogger } from "./gateway/LogPush.ts"
import { Settings } from "./gateway/Settings.ts"
import { TokenStore } from "./gateway/Token.ts"
import { refreshToken } from "./gateway/TokenRefresh.ts"
import { makeLog } from "./Log.ts"
import { Launcher } from "./process/Launcher.ts"
import { MainProcess, type MainProcessSpec } from "./process/MainProcess.ts"
import { exitCode } from "./process/RunningChild.ts"
import { untilSignal } from "./StopSignal.ts"
import { fromEnvironment, type SupervisorConfig } from "./SupervisorConfig.ts"
import { exitCodeOf, SupervisorError } from "./SupervisorError.ts"
import { EpochFence } from "./session/EpochFence.ts"
import { GatewayAdvice } from "./session/GatewayAdvice.ts"
import { Relays } from "./session/Relays.ts"
import type { Identity } from "./session/Session.ts"
import { sessionLoop } from "./session/SessionLoop.ts"
import { listenOnSocket } from "./ssh/SocketListener.ts"
import * as SshServer from "./ssh/SshServer.ts"
import { Streams } from "./stream/Streams.ts"

export { fromEnvironment, type SupervisorConfig } from "./SupervisorConfig.ts"
export { SupervisorError } from "./SupervisorError.ts"

/** The shell's code for a command that does not exist. */
const notFoundCode = 127

const holdLock = (name: string | undefined): Effect.Effect<void, SupervisorError, Scope.Scope> =>
  name === undefined
    ? Effect.void
    : ProcessLock.acquire(`holdfast-${name}`).pipe(
        Effect.mapError(({ reason }) =>
          reason === ""
            ? new SupervisorError({
                reason: "locked",
                message: `already running: sandbox ${name} has a supervisor`,
              })
            : new SupervisorError({ reason: "start", message: `HOLDFAST_SANDBOX_LOCK: ${reason}` }),
        ),
      )

/** Images without bash get what they have, unless they were asked for something by name. */
const availableSpec = (spec: MainProcessSpec, launcher: Launcher): MainProcessSpec => {
  const [file, ...args] = spec.command
  return file === "/bin/bash" && !existsSync(file) ? { ...spec, command: [launcher.shell, ...args] } : spec
}

const supervise = (
  config: SupervisorConfig,
  link: GatewayLink,
): Effect.Effect<number, SupervisorError, Scope.Scope> =>
  Effect.gen(function* () {
    const identity: Identity = {
      sandboxId: config.sandboxId,
      instanceId: randomUUID(),
      startedAtMs: yield* Clock.currentTimeMillis,
      extensions: config.extensions,
    }
    const log = yield* makeLog
    const launcher = yield* Launcher.make({
      workdir: config.workdir,
      environment: config.environment,
      sandboxVariables: config.userEnvironment,
    })
    const settings = yield* Settings.make({ link, sandboxId: config.sandboxId, launcher })
    yield* Effect.forkScoped(refreshToken(link))
    yield* settings.load

    const spec = availableSpec(config.main, launcher)
    if (!launcher.find(spec.command[0])) {
      yield* Effect.logError(`main process not found: ${spec.command[0]}`)
      yield* reportExit(link, identity, notFoundCode)
      return notFoundCode
    }
    const main = yield* Effect.tryPromise({
      try: () => MainProcess.start(launcher, spec),
      catch: (cause) =>
        new SupervisorError({
          reason: "start",
          message: `the main process does not start: ${cause instanceof Error ? cause.message : "unknown"}`,
        }),
    })
    yield* Effect.logInfo("main process started").pipe(Effect.annotateLogs({ pid: main.child.pid }))

    const ssh = yield* SshServer.make({
      launcher,
      main: () => main,
      onError: (message) => log("warn", "SSH connection failed", { reason: message }),
    })
    if (config.sshSocketPath !== undefined) yield* listenOnSocket(ssh, config.sshSocketPath)

    let current: GrpcConnection | undefined
    const fence = new EpochFence()
    const advice = new GatewayAdvice()
    const streams = new Streams({ ssh, launcher })
    const session = yield* sessionLoop(link, {
      identity,
      fence,
      advice,
      log,
      relays: new Relays({ ssh, streams, fence, log }),
      onAccepted: (connection) => {
        if (current === undefined || current.draining) settings.connected()
        current = connection
      },
      onConfigChanged: (spreadMs) => settings.changed(spreadMs),
    }).pipe(Effect.scoped, Effect.forkScoped)
    // Before the connections go, so that clients hear of the end.
    yield* Effect.addFinalizer(() => Effect.promise(() => streams.close("the supervisor ends")))
    yield* Effect.forkScoped(
      settings.follow(
        () => Math.max(config.configPollMs, advice.configPollMs),
        () => current,
      ),
    )

    const code = exitCode(yield* Effect.promise(() => main.exited))
    yield* Effect.logInfo("main process ended").pipe(Effect.annotateLogs({ exitCode: code }))
    yield* Effect.promise(() => main.drained).pipe(Effect.timeout(limits.mainGoodbyeMs), Effect.ignore)
    yield* Effect.promise(() => streams.close("the sandbox's main process has ended"))
    yield* Fiber.interrupt(session)
    yield* reportExit(link, identity, code)
    return code
  })

/** Log lines go to standard error, and from their own level on to the gateway. */
const withLogs = <A, R>(
  config: SupervisorConfig,
  link: GatewayLink,
  effect: Effect.Effect<A, SupervisorError, R>,
): Effect.Effect<A, SupervisorError, R | Scope.Scope> =>
  Effect.gen(function* () {
    const { logLevel, logPushLevel } = config
    const queue = yield* makeQueue
    // Before the loggers are in force: failures of the push are not pushed.
    yield* Effect.forkScoped(pushLogs(link, config.sandboxId, queue))
    const local = Logger.make<unknown, void>((options) => {
      if (LogLevel.greaterThanEqual(options.logLevel, logLevel)) jsonLines.log(options)
    })
    const loggers = Layer.mergeAll(
      Logger.replace(Logger.defaultLogger, local),
      Logger.add(queueLogger(queue, logPushLevel)),
      Logger.minimumLogLevel(LogLevel.lessThan(logLevel, logPushLevel) ? logLevel : logPushLevel),
    )
    return yield* Effect.provide(effect, loggers)
  })

/**
 * Runs until the main process ends (its exit code), or until SIGTERM or SIGINT (143 or 130). Everything that
 * was started has been stopped when it returns.
 */
export const run = (config: SupervisorConfig): Effect.Effect<number, SupervisorError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* holdLock(config.lock)
    const tls = yield* readTls(config.tls)
    const token = yield* TokenStore.make(config.token)
    const link = new GatewayLink(config.endpoints, tls, token, config.extensions)
    return yield* withLogs(config, link, Effect.scoped(supervise(config, link)))
  }).pipe(Effect.scoped, Effect.annotateLogs({ sandbox: config.sandboxId }), Effect.raceFirst(untilSignal))

/** `holdfast supervisor` as a program: refusals are a log line and an exit code. */
export const program = (
  env: Readonly<Record<string, string | undefined>>,
  argv: ReadonlyArray<string>,
): Effect.Effect<number, never, Scope.Scope> =>
  fromEnvironment(env, argv).pipe(
    Effect.flatMap(run),
    Effect.catchAll((error) =>
      Effect.logFatal(error.message).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, jsonLines)),
        Effect.as(exitCodeOf(error)),
      ),
    ),
  )
