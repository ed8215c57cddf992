/** The driver program as a process that tests start, kill and start again. Its sandboxes outlive it. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("./program.ts", import.meta.url))

export interface DriverProcessOptions {
  readonly socketPath: string
  readonly stateDir: string
  readonly endpoint: string
}

export class DriverProcess {
  readonly #options: DriverProcessOptions
  #child: ChildProcess | undefined

  constructor(options: DriverProcessOptions) {
    this.#options = options
  }

  /** Resolves when it serves. */
  start(): Promise<void> {
    const { socketPath, stateDir, endpoint } = this.#options
    const child = spawn(
      process.execPath,
      [program, "--socket", socketPath, "--state", stateDir, "--endpoint", endpoint],
      { stdio: ["ignore", "pipe", "inherit"] },
    )
    this.#child = child
    return new Promise((resolve, reject) => {
      child.stdout.once("data", () => resolve())
      child.once("error", reject)
      child.once("exit", (code, signal) => reject(new Error(`the driver ended: ${code ?? signal}`)))
    })
  }

  /** KILL; resolves when it is gone. */
  kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    return new Promise((resolve) => {
      child.once("exit", () => resolve())
      child.kill("SIGKILL")
    })
  }
}
