/**
 * Real pipes for children. Node gives its children sockets, and on Linux a socket cannot be opened again
 * through /dev/stdin, /dev/stdout or /dev/stderr, which shell scripts do. Node cannot make a pipe either; a
 * named pipe that is opened at both ends and unlinked is one.
 */
import { execFile } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, rmSync, unlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"

/** File descriptors of one pipe. Whoever takes it closes both. */
export interface Pipe {
  readonly read: number
  readonly write: number
}

export class PipePool {
  readonly #directory: string
  readonly #ready: string[] = []
  #serial = 0
  #filling = false
  #disabled = false

  private constructor(directory: string) {
    this.#directory = directory
  }

  static readonly make: Effect.Effect<PipePool, never, Scope.Scope> = Effect.acquireRelease(
    Effect.promise(async () => {
      const pool = new PipePool(PipePool.#makeDirectory())
      await pool.#fill()
      return pool
    }),
    (pool) => Effect.sync(() => pool.#close()),
  )

  static #makeDirectory(): string {
    try {
      return mkdtempSync(join(tmpdir(), "holdfast-pipes-"))
    } catch {
      return ""
    }
  }

  /** `count` pipes, or undefined where this system cannot make them; sockets must do then. */
  take(count: number): ReadonlyArray<Pipe> | undefined {
    if (this.#ready.length - count < limits.pipePool / 2) void this.#fill()
    if (this.#ready.length < count) return undefined
    return this.#ready.splice(0, count).map(openPipe)
  }

  async #fill(): Promise<void> {
    if (this.#filling || this.#disabled) return
    this.#filling = true
    const paths = Array.from({ length: limits.pipePool - this.#ready.length }, () => this.#nextPath())
    const made = this.#directory !== "" && (await makePipes(paths))
    this.#filling = false
    if (made && !this.#disabled) this.#ready.push(...paths)
    else this.#disabled = true
  }

  #nextPath(): string {
    this.#serial += 1
    return join(this.#directory, String(this.#serial))
  }

  #close(): void {
    this.#disabled = true
    this.#ready.length = 0
    if (this.#directory !== "") rmSync(this.#directory, { recursive: true, force: true })
  }
}

const makePipes = (paths: ReadonlyArray<string>): Promise<boolean> =>
  new Promise((resolve) => {
    execFile("mkfifo", ["-m", "600", ...paths], (error) => resolve(error === null))
  })

/** An end opened for both directions first keeps the two real opens from waiting for each other. */
const openPipe = (path: string): Pipe => {
  const both = openSync(path, constants.O_RDWR)
  const read = openSync(path, constants.O_RDONLY)
  const write = openSync(path, constants.O_WRONLY)
  closeSync(both)
  unlinkSync(path)
  return { read, write }
}
