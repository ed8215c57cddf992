/** One step of the check: a program or a function, its outcome, its time. */
import { spawn } from "node:child_process"
import path from "node:path"

export const root = path.resolve(import.meta.dirname, "../..")

export interface Outcome {
  readonly passed: boolean
  /** Shown when the step fails. */
  readonly output: string
}

/** Longest output kept of one program; what comes after it is counted only. */
const outputBytes = 4 * 1_048_576
/** Between TERM and KILL of a program that is out of time. */
const killGraceMs = 5_000

export interface RunOptions {
  readonly timeoutMs: number
  readonly env?: Readonly<Record<string, string>>
  /** Shows the output as it comes instead of keeping it. */
  readonly stream?: boolean
}

/** Programs of the project first: the host's Node does not matter. */
const environment = (extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${path.join(root, "node_modules/.bin")}${path.delimiter}${process.env.PATH ?? ""}`,
  ...extra,
})

/** Runs a program at the top of the repository; it and its children end when the time is over. */
export const run = (command: ReadonlyArray<string>, options: RunOptions): Promise<Outcome> =>
  new Promise((resolve) => {
    const [file = "", ...args] = command
    const child = spawn(file, args, {
      cwd: root,
      env: environment(options.env),
      detached: true,
      stdio: [
        "ignore",
        options.stream === true ? "inherit" : "pipe",
        options.stream === true ? "inherit" : "pipe",
      ],
    })
    const chunks: Array<Buffer> = []
    let kept = 0
    let dropped = 0
    const keep = (chunk: Buffer): void => {
      if (kept + chunk.length > outputBytes) dropped += chunk.length
      else {
        kept += chunk.length
        chunks.push(chunk)
      }
    }
    child.stdout?.on("data", keep)
    child.stderr?.on("data", keep)

    let verdict = ""
    const signal = (name: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, name)
      } catch {
        // It has ended already.
      }
    }
    let kill: NodeJS.Timeout | undefined
    const deadline = setTimeout(() => {
      verdict = `out of time after ${Math.round(options.timeoutMs / 1000)} s`
      signal("SIGTERM")
      kill = setTimeout(() => signal("SIGKILL"), killGraceMs)
    }, options.timeoutMs)
    const interrupted = (): void => {
      signal("SIGTERM")
      process.exit(130)
    }
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, interrupted)

    const finish = (passed: boolean): void => {
      clearTimeout(deadline)
      clearTimeout(kill)
      for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, interrupted)
      const text = Buffer.concat(chunks).toString("utf8")
      const cut = dropped === 0 ? "" : `\n(${dropped} more bytes of output)`
      resolve({ passed, output: `${text}${cut}${verdict === "" ? "" : `\n${verdict}`}` })
    }
    child.once("error", (error) => {
      verdict = `${file} does not start: ${error.message}`
      finish(false)
    })
    child.once("close", (code, endedBy) => {
      if (code !== 0 && verdict === "") verdict = `ended by ${endedBy ?? `code ${code}`}`
      finish(code === 0)
    })
  })

/** A step that finds problems: it passes when there are none. */
export const problems = (found: ReadonlyArray<string>): Outcome => ({
  passed: found.length === 0,
  output: found.join("\n"),
})
