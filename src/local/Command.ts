/** Runs a short-lived program to its end. */
import { execFile } from "node:child_process"

export interface CommandResult {
  readonly code: number
  /** stdout and stderr, at most 1 MiB of each. */
  readonly output: string
}

export interface CommandOptions {
  readonly account: { readonly uid: number; readonly gid: number } | undefined
  readonly cwd: string
  readonly timeoutMs?: number
}

/** Rejects when the program cannot be started or is killed; a non-zero exit code is a result. */
export const runCommand = (
  file: string,
  args: ReadonlyArray<string>,
  options: CommandOptions,
): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH ?? "/usr/bin:/bin", LC_ALL: "C" }
    execFile(
      file,
      args,
      {
        cwd: options.cwd,
        env,
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 1_048_576,
        ...options.account,
      },
      (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`
        if (error === null) resolve({ code: 0, output })
        else if (typeof error.code === "number") resolve({ code: error.code, output })
        else reject(error)
      },
    )
  })
