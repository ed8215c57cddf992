import { existsSync } from "node:fs"
import { delimiter, isAbsolute, join } from "node:path"
import { Effect, type Scope } from "effect"
import { childEnvironment, inherited, type Variables } from "./Environment.ts"
import { spawnPiped } from "./PipedChild.ts"
import { PipePool } from "./PipePool.ts"
import { terminate } from "./ProcessGroup.ts"
import { spawnPty } from "./PtyChild.ts"
import type { CommandSpec, RunningChild, TerminalSize } from "./RunningChild.ts"

export interface LauncherOptions {
  readonly workdir: string
  /** The supervisor's own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `OPENSHELL_USER_ENVIRONMENT`. */
  readonly sandboxVariables: Variables
}

export interface LaunchRequest {
  readonly argv: readonly [string, ...string[]]
  readonly variables?: Variables
  readonly terminal?: TerminalSize & { readonly term: string }
}

/** Starts the sandbox's processes and ends every one of them with its scope. */
export class Launcher {
  /** `/bin/bash`, or `/bin/sh` in images without it. */
  readonly shell: string
  readonly workdir: string
  readonly #pool: PipePool
  readonly #base: Variables
  readonly #sandboxVariables: Variables
  readonly #running = new Set<RunningChild>()
  #providerVariables: Variables = {}
  #ending = false

  private constructor(pool: PipePool, options: LauncherOptions) {
    this.#pool = pool
    this.shell = existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh"
    this.workdir = options.workdir
    this.#base = inherited(options.environment, this.shell)
    this.#sandboxVariables = options.sandboxVariables
  }

  static readonly make = (options: LauncherOptions): Effect.Effect<Launcher, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.map(PipePool.make, (pool) => new Launcher(pool, options)),
      (launcher) => Effect.promise(() => launcher.#endAll()),
    )

  /** Credentials of the sandbox's providers, for children started from now on. */
  setProviderVariables(variables: Variables): void {
    this.#providerVariables = variables
  }

  async launch(request: LaunchRequest): Promise<RunningChild> {
    const [file, ...args] = request.argv
    const env = childEnvironment(
      this.#base,
      this.#providerVariables,
      this.#sandboxVariables,
      request.variables,
    )
    const spec: CommandSpec = { file, args, env, cwd: this.workdir }
    const child =
      request.terminal === undefined
        ? await spawnPiped(this.#pool, spec)
        : spawnPty({ ...spec, terminal: request.terminal })
    if (this.#ending) void terminate(child, 0)
    this.#running.add(child)
    void child.exited.then(() => this.#running.delete(child))
    return child
  }

  /** Whether a command exists, looked up as the child would look it up. */
  find(file: string): boolean {
    if (file.includes("/")) return existsSync(isAbsolute(file) ? file : join(this.workdir, file))
    const path = this.#sandboxVariables.PATH ?? this.#base.PATH ?? ""
    return path.split(delimiter).some((directory) => existsSync(join(directory, file)))
  }

  async #endAll(): Promise<void> {
    this.#ending = true
    await Promise.all([...this.#running].map((child) => terminate(child)))
  }
}
