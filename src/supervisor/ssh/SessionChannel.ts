/** One `session` channel: what the client asks for before, at and after its start. */
import type { AcceptConnection, ServerChannel, Session } from "ssh2"
import { limits } from "../../domain/Limits.ts"
import { isReserved, isUsable } from "../process/Environment.ts"
import type { Launcher } from "../process/Launcher.ts"
import type { Attachment, MainProcess } from "../process/MainProcess.ts"
import { parseSignal, type RunningChild, type TerminalSize } from "../process/RunningChild.ts"
import { serveSftp } from "../sftp/SftpSession.ts"
import { sendExit, serveChild } from "./ChildChannel.ts"
import { serveMain } from "./MainChannel.ts"
import { keepRequestsAfterEof } from "./Ssh2Quirks.ts"

export interface SessionDependencies {
  readonly launcher: Launcher
  /** Undefined while the main process has not started. */
  readonly main: () => MainProcess | undefined
  /** Settles when the connection of the session is gone. */
  readonly connectionGone: Promise<void>
  readonly onClose: () => void
}

/** The shell's code for a command that cannot be run. */
const cannotRunCode = 126

type Running = Pick<RunningChild, "resize" | "signal"> | Pick<Attachment, "resize" | "signal">

export const serveSession = (session: Session, dependencies: SessionDependencies): void => {
  const { launcher } = dependencies
  const variables: Record<string, string> = {}
  const ended = Promise.withResolvers<void>()
  const gone = Promise.race([ended.promise, dependencies.connectionGone])
  let terminal: (TerminalSize & { readonly term: string }) | undefined
  let readOnly = false
  let running: Running | undefined
  void gone.then(dependencies.onClose)

  keepRequestsAfterEof(session)
  session.on("close", () => ended.resolve())
  session.on("env", (accept, _reject, { key, val }) => {
    if (key === "OPENSHELL_MAIN_READ_ONLY") readOnly = val === "1"
    else if (!isReserved(key) && isUsable(key, val) && Object.keys(variables).length < limits.mapEntries) {
      variables[key] = val
    }
    // Acknowledged either way: clients forward variables that a server need not want.
    accept?.()
  })
  session.on("pty", (accept, _reject, { term, cols, rows }) => {
    terminal = { term, cols, rows }
    accept?.()
  })
  session.on("window-change", (accept, _reject, { cols, rows }) => {
    if (terminal !== undefined) terminal = { ...terminal, cols, rows }
    running?.resize({ cols, rows })
    accept?.()
  })
  session.on("signal", (accept, _reject, { name }) => {
    const signal = parseSignal(name)
    if (signal !== undefined) running?.signal(signal)
    accept?.()
  })

  /** Undefined for a client that asks a second time; the first request goes on. */
  const open = (accept: AcceptConnection<ServerChannel>): ServerChannel | undefined => {
    const channel: ServerChannel | undefined = accept()
    channel?.once("close", () => ended.resolve())
    return channel
  }
  const start = async (
    accept: AcceptConnection<ServerChannel>,
    argv: readonly [string, ...string[]],
  ): Promise<void> => {
    const channel = open(accept)
    if (channel === undefined) return
    try {
      const child = await launcher.launch({
        argv,
        variables,
        ...(terminal === undefined ? {} : { terminal }),
      })
      running = child
      if (terminal !== undefined) child.resize(terminal)
      await serveChild(channel, child, gone)
    } catch (cause) {
      // Out of descriptors, processes or terminals: the client learns why, the others are served.
      const reason = cause instanceof Error ? cause.message : "unknown reason"
      channel.stderr.write(`holdfast: cannot start a process: ${reason}\n`)
      sendExit(channel, { code: cannotRunCode })
      channel.end()
    }
  }
  session.on("exec", (accept, _reject, { command }) => {
    void start(accept, [launcher.shell, "-lc", command])
  })
  session.on("shell", (accept) => void start(accept, [launcher.shell, "-l"]))
  session.on("subsystem", (accept, reject, { name }) => {
    const main = dependencies.main()
    if (name === "sftp") {
      const channel = open(accept)
      if (channel !== undefined) serveSftp(channel, { workdir: launcher.workdir, gone })
    } else if (name === "openshell-main" && main !== undefined) {
      const channel = open(accept)
      if (channel !== undefined) running = serveMain(channel, main, { readOnly, size: terminal, gone })
    } else {
      reject?.()
    }
  })
}
