/** Runs the command line in this process, with what it prints kept from the terminal. */
import { Effect } from "effect"
import { type CliDependencies, runCli } from "../../src/cli/Cli.ts"

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `argv` and takes what it writes on this process's streams. */
export const runHere = async (argv: ReadonlyArray<string>, dependencies: CliDependencies): Promise<Ended> => {
  const { stderr, stdout } = process
  const originals = [stderr.write, stdout.write] as const
  const seen = { stdout: "", stderr: "" }
  const into =
    (stream: keyof typeof seen) =>
    (chunk: string | Uint8Array): boolean => {
      seen[stream] += chunk.toString()
      return true
    }
  stderr.write = into("stderr")
  stdout.write = into("stdout")
  try {
    const code = await runCli(argv, dependencies)
    return { code, ...seen }
  } finally {
    stderr.write = originals[0]
    stdout.write = originals[1]
  }
}

const never = async () => Effect.succeed(99)
const nothingElse: CliDependencies = {
  runGateway: never,
  runSupervisor: never,
  runUp: never,
  runDrill: never,
}

/** Commands for the gateway at `url`, which need not be known before the first; `inspect` sees how each ended. */
export const commandLine = (url: () => string, inspect: (ended: Ended) => void = () => undefined) => {
  const holdfast = async (...argv: ReadonlyArray<string>): Promise<Ended> => {
    const ended = await runHere(["--gateway", url(), ...argv], nothingElse)
    inspect(ended)
    return ended
  }
  const json = async (...argv: ReadonlyArray<string>): Promise<unknown> =>
    JSON.parse((await holdfast(...argv, "-o", "json")).stdout)
  return { holdfast, json }
}
