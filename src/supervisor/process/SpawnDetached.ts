import { type ChildProcess, type StdioOptions, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { inheritable } from "./PtyBinding.ts"
import type { CommandSpec, Exit } from "./RunningChild.ts"

export interface Detached {
  readonly child: ChildProcess
  /** Undefined when nothing was started; `exited` then tells what a shell would say. */
  readonly pid: number | undefined
  readonly exited: Promise<Exit>
}

/** What a child may have as one of its first three descriptors. */
export type Standard = number | "pipe"

/** The shell's codes for a command that is not found, or found and not runnable. */
const failure = (error: NodeJS.ErrnoException): Exit => ({ code: error.code === "ENOENT" ? 127 : 126 })

/** Starts a command in a session of its own, and so in a process group whose id is the child's. */
export const spawnDetached = (
  spec: Pick<CommandSpec, "file" | "args" | "cwd" | "env">,
  standard: readonly [Standard, Standard, Standard],
): Detached => {
  const nothing = inheritable.size > 0 ? openSync("/dev/null", "r+") : undefined
  const child = spawn(spec.file, spec.args, {
    cwd: spec.cwd,
    env: spec.env,
    stdio: nothing === undefined ? [...standard] : coverInheritable(standard, nothing),
    detached: true,
  })
  if (nothing !== undefined) closeSync(nothing)
  const exited = new Promise<Exit>((resolve) => {
    child.once("error", (error) => resolve(failure(error)))
    child.once("exit", (code, signal) => resolve(signal === null ? { code: code ?? 0 } : { signal }))
  })
  return { child, pid: child.pid, exited }
}

/** Descriptors that the kernel would hand down become /dev/null in the child; all others stay as they are. */
const coverInheritable = (
  standard: readonly [Standard, Standard, Standard],
  nothing: number,
): StdioOptions => {
  const highest = Math.max(...inheritable)
  return Array.from(
    { length: highest + 1 },
    (_, fd) => standard[fd] ?? (inheritable.has(fd) ? nothing : "ignore"),
  )
}
