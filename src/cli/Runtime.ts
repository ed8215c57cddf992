/** Runs a command's effect as the process: signals interrupt it, failures are printed, the exit code returns. */
import { constants } from "node:os"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { limits } from "../domain/Limits.ts"
import { CliFailure, explain, renderFailure } from "./Failure.ts"
import type { CommandEffect, Invocation } from "./Invocation.ts"
import { colorOn } from "./Output.ts"

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

export interface ExecuteOptions {
  /** Ending by Ctrl-C or SIGTERM is the normal end of this command: exit code 0. */
  readonly endsBySignal?: boolean
  /** The effect listens for SIGTERM and SIGINT itself and ends in its own order. */
  readonly handlesSignals?: boolean
}

/**
 * Resolves with the exit code after every finalizer has run. The first signal interrupts; a second one ends
 * the process at once, for the case that a finalizer hangs.
 */
export const execute = async (
  effect: CommandEffect,
  invocation: Invocation | undefined,
  options: ExecuteOptions = {},
): Promise<number> => {
  const fiber = Effect.runFork(Effect.scoped(effect))
  let received: (typeof signals)[number] | undefined
  let receivedAtMs = 0
  const onSignal = (signal: (typeof signals)[number]): void => {
    const nowMs = performance.now()
    if (received !== undefined) {
      // `bun run` passes on the Ctrl-C that the terminal has already sent to everybody.
      if (nowMs - receivedAtMs < limits.signalRepeatMs) return
      process.exit(128 + constants.signals[signal])
    }
    received = signal
    receivedAtMs = nowMs
    Effect.runFork(Fiber.interrupt(fiber))
  }
  const listened = options.handlesSignals === true ? [] : signals
  for (const signal of listened) process.on(signal, onSignal)
  // `holdfast logs | head`: the reader has all it wants, which is no failure worth words.
  const onBrokenPipe = (error: NodeJS.ErrnoException): void => {
    if (error.code === "EPIPE") process.exit(128 + constants.signals.SIGPIPE)
  }
  process.stdout.on("error", onBrokenPipe)
  const exit = await Effect.runPromise(Fiber.await(fiber))
  for (const signal of listened) process.off(signal, onSignal)
  process.stdout.off("error", onBrokenPipe)
  if (Exit.isSuccess(exit)) return exit.value
  if (received !== undefined && Cause.isInterrupted(exit.cause)) {
    return options.endsBySignal === true ? 0 : 128 + constants.signals[received]
  }
  const failure = failureOf(exit.cause, invocation)
  process.stderr.write(
    renderFailure(failure, {
      color: colorOn(process.stderr, invocation?.globals.color ?? true),
      debug: process.env.HOLDFAST_DEBUG === "1",
    }),
  )
  return failure.exitCode
}

const failureOf = (cause: Cause.Cause<unknown>, invocation: Invocation | undefined): CliFailure => {
  const error = Option.getOrElse(Cause.failureOption(cause), () => Cause.squash(cause))
  if (error instanceof CliFailure) return error
  return explain(error, {
    action: `run \`holdfast ${invocation?.path ?? process.argv[2] ?? ""}\``,
    gateway: invocation?.globals.gateway ?? "",
    workspace: invocation?.globals.workspace ?? "",
  })
}
