/**
 * The native part of `@lydell/node-pty`. Its JavaScript part is left out: it writes to the terminal in a way
 * that spins the event loop while the program does not read, cuts output 200 ms after the exit, and lets every
 * process inherit the controlling ends of all other terminals.
 */
import { createRequire } from "node:module"

export interface PtyBinding {
  /** A new terminal: both descriptors, neither closed on exec, and the path of the slave. */
  readonly open: (
    cols: number,
    rows: number,
  ) => { readonly master: number; readonly slave: number; readonly pty: string }
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

const uncovered = new Set<number>()

/**
 * Descriptors that a child would inherit although it must not: one with another terminal's controlling end
 * would keep that terminal alive and could type on it. Whoever starts a child covers them.
 */
export const inheritable: ReadonlySet<number> = uncovered

export const addInheritable = (...fds: ReadonlyArray<number>): void => {
  for (const fd of fds) uncovered.add(fd)
}

export const removeInheritable = (...fds: ReadonlyArray<number>): void => {
  for (const fd of fds) uncovered.delete(fd)
}
