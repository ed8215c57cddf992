/** The retained main process: its recent output, who watches it, and who types. */
import { type ChildProcess, spawn } from "node:child_process"
import { constants } from "node:os"
import { type IPty, spawn as spawnPty } from "@lydell/node-pty"
import type { TerminalInput } from "../../../src/supervisor/process/TerminalInput.ts"
import { inputOf } from "./PtyInput.ts"
import type { MainSpec } from "./Settings.ts"

/** One character per byte of output; input is text to the library. */
export const bytes = "latin1"

/** Kept for those who attach later. */
const replayBytes = 1_048_576

export interface Watcher {
  readonly onOutput: (chunk: Buffer) => void
  readonly onExit: (code: number) => void
}

const codeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 1 : constants.signals[signal])

export class Main {
  readonly exited: Promise<number>
  exitCode: number | undefined
  #recent: Array<Buffer> = []
  #recentBytes = 0
  readonly #watchers = new Set<Watcher>()
  #owner: Watcher | undefined
  readonly #child: ChildProcess | undefined
  readonly #pty: IPty | undefined
  readonly #input: TerminalInput | undefined

  constructor(spec: MainSpec, cwd: string, env: Record<string, string>) {
    const [file = "/bin/bash", ...args] = spec.command
    const settled = Promise.withResolvers<number>()
    this.exited = settled.promise
    const ended = (code: number): void => {
      this.exitCode = code
      for (const watcher of this.#watchers) watcher.onExit(code)
      settled.resolve(code)
    }
    if (spec.tty) {
      this.#pty = spawnPty(file, args, { name: "xterm-256color", cwd, env, encoding: bytes })
      this.#input = inputOf(this.#pty)
      this.#pty.onData((chunk) => this.#output(Buffer.from(chunk, bytes)))
      this.#pty.onExit(({ exitCode, signal }) =>
        ended(signal === undefined || signal === 0 ? exitCode : 128 + signal),
      )
      return
    }
    this.#child = spawn(file, args, { cwd, env, stdio: "pipe", detached: true })
    this.#child.stdout?.on("data", (chunk: Buffer) => this.#output(chunk))
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#output(chunk))
    this.#child.stdin?.on("error", () => {})
    this.#child.once("error", () => ended(127))
    this.#child.once("close", (code, signal) => ended(codeOf(code, signal)))
  }

  #output(chunk: Buffer): void {
    this.#recent.push(chunk)
    this.#recentBytes += chunk.length
    while (this.#recentBytes > replayBytes && this.#recent.length > 1)
      this.#recentBytes -= this.#recent.shift()?.length ?? 0
    for (const watcher of this.#watchers) watcher.onOutput(chunk)
  }

  /** Sends what was printed last, then what comes. The first one types, unless it only reads. */
  attach(watcher: Watcher, readOnly: boolean): void {
    for (const chunk of this.#recent) watcher.onOutput(chunk)
    this.#watchers.add(watcher)
    if (!readOnly) this.#owner ??= watcher
    if (this.exitCode !== undefined) watcher.onExit(this.exitCode)
  }

  detach(watcher: Watcher): void {
    this.#watchers.delete(watcher)
    if (this.#owner === watcher) this.#owner = undefined
  }

  type(watcher: Watcher, chunk: Buffer): void {
    if (this.#owner !== watcher) return
    if (this.#input !== undefined) this.#input.write(chunk)
    else this.#child?.stdin?.write(chunk)
  }

  resize(cols: number, rows: number): void {
    if (cols > 0 && rows > 0) this.#pty?.resize(cols, rows)
  }

  signal(name: NodeJS.Signals): void {
    const pid = this.#pty?.pid ?? this.#child?.pid
    if (pid === undefined || this.exitCode !== undefined) return
    try {
      process.kill(-pid, name)
    } catch {
      // It has just ended.
    }
  }
}
