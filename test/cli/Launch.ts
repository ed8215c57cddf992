/** Runs the real `holdfast` as its users do. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export const launcher = fileURLToPath(new URL("../../bin/holdfast", import.meta.url))

export interface LaunchOptions {
  readonly gateway: string
  readonly environment?: Readonly<Record<string, string>>
  readonly stdin?: string | Buffer
  readonly cwd?: string
}

const environmentOf = (options: LaunchOptions): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: "/nonexistent",
  HOLDFAST_GATEWAY: options.gateway,
  ...options.environment,
})

export const start = (args: ReadonlyArray<string>, options: LaunchOptions): ChildProcessWithoutNullStreams =>
  spawn(launcher, args, { env: environmentOf(options), cwd: options.cwd ?? "/" })

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export const finished = async (child: ChildProcessWithoutNullStreams): Promise<Finished> => {
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk) => {
    stdout += String(chunk)
  })
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk)
  })
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  return { code, stdout, stderr }
}

export const holdfast = (args: ReadonlyArray<string>, options: LaunchOptions): Promise<Finished> => {
  const child = start(args, options)
  child.stdin.on("error", () => undefined)
  child.stdin.end(options.stdin ?? "")
  return finished(child)
}
