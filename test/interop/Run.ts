/** Programs with a deadline. */
import { spawn } from "node:child_process"

export interface Finished {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: Buffer | string
  /** After this it and its children are killed and the call fails: a client that hangs. */
  readonly timeoutMs?: number
}

const usualTimeoutMs = 60_000
/** Held of each output. */
const outputBytes = 67_108_864

export class Failed extends Error {}

const endGroup = (pid: number | undefined): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended.
  }
}

/** Runs to the end; a wrong exit code is the caller's to judge. */
export const run = (
  file: string,
  args: ReadonlyArray<string>,
  options: RunOptions = {},
): Promise<Finished> => {
  const timeoutMs = options.timeoutMs ?? usualTimeoutMs
  const child = spawn(file, args, {
    detached: true,
    stdio: "pipe",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  })
  return new Promise((resolve, reject) => {
    const output: Record<"stdout" | "stderr", Array<Buffer>> = { stdout: [], stderr: [] }
    let held = 0
    let hung = false
    const timer = setTimeout(() => {
      hung = true
      endGroup(child.pid)
    }, timeoutMs)
    for (const name of ["stdout", "stderr"] as const)
      child[name].on("data", (chunk: Buffer) => {
        held += chunk.length
        if (held <= outputBytes) output[name].push(chunk)
      })
    child.stdin.on("error", () => {})
    child.stdin.end(options.input ?? "")
    child.once("error", (error) => {
      clearTimeout(timer)
      reject(error)
    })
    // `exit` and not `close`: a child that went to the background may hold the pipes for long.
    child.once("exit", (code) => {
      clearTimeout(timer)
      const settle = (): void => {
        const finished = {
          code,
          stdout: Buffer.concat(output.stdout),
          stderr: Buffer.concat(output.stderr).toString(),
        }
        if (hung)
          reject(new Failed(`hung for ${timeoutMs} ms: ${file} ${args.join(" ")}\n${describe(finished)}`))
        else resolve(finished)
      }
      const grace = setTimeout(settle, 1_000)
      child.once("close", () => {
        clearTimeout(grace)
        settle()
      })
    })
  })
}

const shownChars = 2_000
const cut = (text: string): string => (text.length > shownChars ? `…${text.slice(-shownChars)}` : text)

export const describe = ({ code, stdout, stderr }: Finished): string =>
  `exit code ${code}\nstdout: ${cut(stdout.toString())}\nstderr: ${cut(stderr)}`

/** Its output; fails unless it exits with `code`. */
export const mustRun = async (
  file: string,
  args: ReadonlyArray<string>,
  options: RunOptions & { readonly code?: number } = {},
): Promise<Finished> => {
  const finished = await run(file, args, options)
  if (finished.code === (options.code ?? 0)) return finished
  throw new Failed(`${file} ${args.join(" ")}: ${describe(finished)}`)
}
