/**
 * Real pipes for children. Node gives its children sockets, and on Linux a socket cannot be opened again
 * through /dev/stdin, /dev/stdout or /dev/stderr, which shell scripts do. Node cannot make a pipe, but a shell
 * can: a helper holds a few, and opening them through /proc makes them ours too. (Named pipes do not serve:
 * opening one whose other end is closed already waits for ever.)
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, constants, openSync } from "node:fs"
import { Effect, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"

/** File descriptors of one pipe. Whoever takes it closes both. */
export interface Pipe {
  readonly read: number
  readonly write: number
}

export class PipePool {
  readonly #ready: Pipe[] = []
  #filling: Promise<void> | undefined
  #disabled = false

  static readonly make: Effect.Effect<PipePool, never, Scope.Scope> = Effect.acquireRelease(
    Effect.promise(async () => {
      const pool = new PipePool()
      await pool.#fill()
      return pool
    }),
    (pool) => Effect.promise(() => pool.#close()),
  )

  /** `count` pipes, or undefined where this system cannot make them; sockets must do then. */
  async take(count: number): Promise<ReadonlyArray<Pipe> | undefined> {
    while (this.#ready.length < count && !this.#disabled) await this.#fill()
    const taken = this.#ready.length < count ? undefined : this.#ready.splice(0, count)
    if (this.#ready.length < limits.pipePool) void this.#fill()
    return taken
  }

  #fill(): Promise<void> {
    this.#filling ??= makePipes()
      .then((pipes) => {
        if (pipes === undefined) this.#disabled = true
        else if (this.#disabled) closePipes(pipes)
        else this.#ready.push(...pipes)
      })
      .finally(() => {
        this.#filling = undefined
      })
    return this.#filling
  }

  async #close(): Promise<void> {
    this.#disabled = true
    await this.#filling
    closePipes(this.#ready.splice(0))
  }
}

const closePipes = (pipes: ReadonlyArray<Pipe>): void => {
  for (const { read, write } of pipes) {
    closeSync(read)
    closeSync(write)
  }
}

/** Descriptors of the helper that hold a pipe; POSIX shells redirect single digits only, and 9 is its input. */
const held = [3, 4, 5, 6, 7, 8] as const

/** Each `: |` is a pipe whose reading end moves to a descriptor of the innermost shell, which says its pid. */
const script = held.reduceRight(
  (inner, fd) => `: | { exec ${fd}<&0; ${inner}; }`,
  `exec sh -c 'echo $$; read -r line <&9'`,
)

const makePipes = (): Promise<ReadonlyArray<Pipe> | undefined> =>
  new Promise((resolve) => {
    const helper = spawn("/bin/sh", ["-c", `exec 9<&0; ${script}`], { stdio: ["pipe", "pipe", "ignore"] })
    const timeout = setTimeout(() => helper.kill("SIGKILL"), limits.pipeHelperMs)
    let pipes: ReadonlyArray<Pipe> | undefined
    helper.once("error", () => resolve(undefined))
    helper.stdin.on("error", () => undefined)
    helper.stdout.once("data", (pid: Buffer) => {
      pipes = openPipes(Number(pid.toString().trim()))
      release(helper)
    })
    helper.once("close", () => {
      clearTimeout(timeout)
      resolve(pipes)
    })
  })

/** The innermost shell reads the end of its input, and the helper's processes end one after the other. */
const release = (helper: ChildProcess): void => void helper.stdin?.end()

const openPipes = (pid: number): ReadonlyArray<Pipe> | undefined => {
  const pipes: Pipe[] = []
  try {
    for (const fd of held) pipes.push(openPipe(`/proc/${pid}/fd/${fd}`))
    return pipes
  } catch {
    closePipes(pipes)
    return undefined
  }
}

/** Open for both directions first: opening one end of a pipe whose other end is closed fails or ends it. */
const openPipe = (path: string): Pipe => {
  const both = openSync(path, constants.O_RDWR)
  try {
    return { read: openSync(path, constants.O_RDONLY), write: openSync(path, constants.O_WRONLY) }
  } finally {
    closeSync(both)
  }
}
