import { constants } from "node:os"
import type { Readable, Writable } from "node:stream"

/** How a process ended: a code, or the name of the signal that ended it (`SIGTERM`). */
export type Exit = { readonly code: number } | { readonly signal: string }

/** Terminal size in character cells. */
export interface TerminalSize {
  readonly cols: number
  readonly rows: number
}

export interface CommandSpec {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Present: the command gets a terminal of this type and size. */
  readonly terminal?: TerminalSize & { readonly term: string }
}

/** A process in a session and process group of its own. */
export interface RunningChild {
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Absent with a terminal, where both are one. */
  readonly stderr: Readable | undefined
  /** Settles when the process itself has ended; its output may still be read. Never rejects. */
  readonly exited: Promise<Exit>
  readonly resize: (size: TerminalSize) => void
  /** Sends a signal to the group, with a terminal also to the foreground group. */
  readonly signal: (name: NodeJS.Signals) => void
  /** Gives the streams up; what still runs in the background loses them. */
  readonly release: () => void
}

/** Terminal of programs that name no size: what every terminal emulator starts with. */
export const defaultSize: TerminalSize = { cols: 80, rows: 24 }

/** Sizes that a terminal can have; zero is how some clients say "unknown". */
export const normalSize = (size: { readonly cols: number; readonly rows: number }): TerminalSize => ({
  cols: size.cols > 0 && size.cols <= 0xffff ? size.cols : defaultSize.cols,
  rows: size.rows > 0 && size.rows <= 0xffff ? size.rows : defaultSize.rows,
})

const signalNumbers: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals))
const signalNames: ReadonlyMap<number, NodeJS.Signals> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
)

/** `TERM` or `SIGTERM` as node's name of a signal that this system has. */
export const parseSignal = (name: string): NodeJS.Signals | undefined => {
  const number = signalNumbers.get(name.startsWith("SIG") ? name : `SIG${name}`)
  return number === undefined ? undefined : signalNames.get(number)
}

/** The shell's convention for an ended process: its code, or 128 and the signal's number. */
export const exitCode = (exit: Exit): number =>
  "code" in exit ? exit.code : 128 + (signalNumbers.get(exit.signal) ?? 0)
