/**
 * The programs that the command line starts but does not contain: they lie above it in the layers, so
 * `main.ts` hands them in, loading each only when it runs. Each ends with the exit code of the process.
 */
import type { CommandEffect } from "./Invocation.ts"

export interface CliDependencies {
  /** Settings by name in camel case, only those given as flags; the environment fills the rest. */
  readonly runGateway: (options: Readonly<Record<string, string>>) => Promise<CommandEffect>
  /** The arguments after `holdfast supervisor`, unparsed. */
  readonly runSupervisor: (argv: ReadonlyArray<string>) => Promise<CommandEffect>
  readonly runUp: (options: UpOptions) => Promise<CommandEffect>
}

export interface UpOptions {
  readonly replicas: number
  /** Port of the front door; replicas and peers take the ports after it. */
  readonly port: number
  readonly stateDirectory: string
  readonly once: boolean
  readonly sqlite: boolean
  readonly json: boolean
}
