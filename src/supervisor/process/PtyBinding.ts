/**
 * The native part of `@lydell/node-pty`. Its JavaScript part is left out: it writes to the terminal in a way
 * that spins the event loop while the program does not read, and cuts output 200 ms after the exit.
 */
import { createRequire } from "node:module"

export interface PtyBinding {
  /** Starts a process on a new terminal; `onExit` gets its code and the number of the signal, or 0. */
  readonly fork: (
    file: string,
    args: ReadonlyArray<string>,
    env: ReadonlyArray<string>,
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (code: number, signal: number) => void,
  ) => { readonly fd: number; readonly pid: number; readonly pty: string }
  readonly resize: (fd: number, cols: number, rows: number) => void
}

let loaded: PtyBinding | undefined

/** Loaded on first use, so that a sandbox without terminals does not need it. Throws where there is none. */
export const ptyBinding = (): PtyBinding => {
  loaded ??= createRequire(import.meta.url)(
    `@lydell/node-pty-${process.platform}-${process.arch}/pty.node`,
  ) as PtyBinding
  return loaded
}
