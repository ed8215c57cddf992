/** The local terminal handed over to a remote one, and given back on every way out. */
import { Effect, type Scope } from "effect"
import type { TerminalSize } from "../../client/Exec.ts"

const fallback: TerminalSize = { columns: 80, rows: 24 }

export const terminalSize = (): TerminalSize => {
  const { columns, rows } = process.stdout
  return columns > 0 && rows > 0 ? { columns, rows } : fallback
}

export const onTerminalResize = (listener: (size: TerminalSize) => void): (() => void) => {
  const notify = (): void => listener(terminalSize())
  process.stdout.on("resize", notify)
  return () => process.stdout.off("resize", notify)
}

/** Modes that full-screen programs turn on and a cut connection leaves on: cursor, mouse, paste, alternate screen. */
const resetModes = "\u001b[?25h\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?1049l"

/**
 * Raw mode while the scope lasts. `exit` covers the ways out that run no finalizers (a second signal, an
 * uncaught error). `lost` tells that the remote side did not end by itself, so its modes may still be on.
 */
export const rawTerminal: Effect.Effect<{ lost: boolean }, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const state = { lost: true, restore: (): void => undefined }
    if (!process.stdin.isTTY) return state
    state.restore = () => {
      process.stdin.setRawMode(false)
      if (state.lost && process.stdout.isTTY) process.stdout.write(resetModes)
      state.lost = false
    }
    process.stdin.setRawMode(true)
    process.on("exit", state.restore)
    return state
  }),
  (state) =>
    Effect.sync(() => {
      process.off("exit", state.restore)
      state.restore()
    }),
)
