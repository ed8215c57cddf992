import { closeSync } from "node:fs"
import { ReadStream } from "node:tty"
import { foregroundGroup, signalGroup } from "./ProcessGroup.ts"
import { addInheritable, ptyBinding, removeInheritable } from "./PtyBinding.ts"
import { type CommandSpec, normalSize, type RunningChild } from "./RunningChild.ts"
import { spawnDetached } from "./SpawnDetached.ts"
import { TerminalInput } from "./TerminalInput.ts"

/**
 * Makes the terminal the controlling one: the first process of a session that opens a terminal gets it. Erasing
 * a character erases all its bytes then, which kernels do not do by themselves.
 */
const takeTerminal = 'exec 0<>"$0" 1>&0 2>&0; stty iutf8 2>/dev/null; exec "$@"'

/** Starts a command on a terminal of its own. */
export const spawnPty = (
  spec: CommandSpec & { readonly terminal: NonNullable<CommandSpec["terminal"]> },
): RunningChild => {
  const binding = ptyBinding()
  const { cols, rows } = normalSize(spec.terminal)
  const { master, slave, pty } = binding.open(cols, rows)
  addInheritable(master, slave)
  const { pid, exited } = spawnDetached(
    {
      file: "/bin/sh",
      args: ["-c", takeTerminal, pty, spec.file, ...spec.args],
      cwd: spec.cwd,
      env: { ...spec.env, TERM: spec.terminal.term === "" ? "xterm" : spec.terminal.term },
    },
    [slave, slave, slave],
  )
  removeInheritable(slave)
  closeSync(slave)

  const input = new TerminalInput(master)
  const output = new ReadStream(master)
  let open = true
  const closing = (): void => {
    if (!open) return
    open = false
    input.stop()
    removeInheritable(master)
  }
  // When the last program on a terminal ends, reading it fails with EIO: that is how its output ends.
  output.once("error", closing)
  output.once("close", closing)
  return {
    pid: pid ?? 0,
    stdin: input,
    stdout: output,
    stderr: undefined,
    exited,
    resize: (wanted) => {
      const size = normalSize(wanted)
      if (open) binding.resize(master, size.cols, size.rows)
    },
    signal: (name) => {
      const foreground = foregroundGroup(pid ?? 0)
      if (foreground !== undefined && foreground !== pid) signalGroup(foreground, name)
      signalGroup(pid ?? 0, name)
    },
    release: () => {
      closing()
      output.destroy()
    },
  }
}
