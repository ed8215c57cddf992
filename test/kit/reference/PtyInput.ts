import type { IPty } from "@lydell/node-pty"
import { TerminalInput } from "../../../src/supervisor/process/TerminalInput.ts"

/**
 * What is typed on a terminal of node-pty. Its own `write` spins the event loop for ever once the program on the
 * terminal does not read: its descriptor does not block, but libuv is told that it does.
 */
export const inputOf = (pty: IPty): TerminalInput => {
  const fd: unknown = Reflect.get(pty, "fd")
  const input = new TerminalInput(Number(fd))
  pty.onExit(() => input.stop())
  return input
}
