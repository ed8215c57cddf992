import { ReadStream } from "node:tty"
import { foregroundGroup, signalGroup } from "./ProcessGroup.ts"
import { ptyBinding } from "./PtyBinding.ts"
import { type CommandSpec, type Exit, normalSize, type RunningChild, signalName } from "./RunningChild.ts"
import { TerminalInput } from "./TerminalInput.ts"

/** Starts a command on a terminal of its own. */
export const spawnPty = (
  spec: CommandSpec & { readonly terminal: NonNullable<CommandSpec["terminal"]> },
): RunningChild => {
  const binding = ptyBinding()
  const exit = Promise.withResolvers<Exit>()
  const size = normalSize(spec.terminal)
  const env = { ...spec.env, TERM: spec.terminal.term === "" ? "xterm" : spec.terminal.term }
  const { fd, pid } = binding.fork(
    spec.file,
    spec.args,
    Object.entries(env).map(([name, value]) => `${name}=${value}`),
    spec.cwd,
    size.cols,
    size.rows,
    -1,
    -1,
    true,
    "",
    (code, signal) => exit.resolve(signal === 0 ? { code } : { signal: signalName(signal) }),
  )
  const input = new TerminalInput(fd)
  const output = new ReadStream(fd)
  let open = true
  const closing = (): void => {
    open = false
    input.stop()
  }
  // When the last program on a terminal ends, reading it fails with EIO: that is how its output ends.
  output.once("error", closing)
  output.once("close", closing)
  return {
    pid,
    stdin: input,
    stdout: output,
    stderr: undefined,
    exited: exit.promise,
    resize: (wanted) => {
      const { cols, rows } = normalSize(wanted)
      if (open) binding.resize(fd, cols, rows)
    },
    signal: (name) => {
      const foreground = foregroundGroup(pid)
      if (foreground !== undefined && foreground !== pid) signalGroup(foreground, name)
      signalGroup(pid, name)
    },
    release: () => {
      closing()
      output.destroy()
    },
  }
}
