/** What a case is, and what it is given. */
import { strict as assert } from "node:assert"
import path from "node:path"
import { stripVTControlCharacters } from "node:util"
import { until as untilHeld } from "../../kit/Until.ts"
import { Failed, type Finished, mustRun, type RunOptions, run } from "../Run.ts"
import type { Place, Stage } from "../Stage.ts"
import { version } from "../tools/Tools.ts"

/** `own`: our supervisor; `ref`: the double of OpenShell's. */
export type Kind = "own" | "ref"

export interface Case {
  readonly name: string
  /** `both`: once with each supervisor. `none`: no sandbox matters. */
  readonly supervisors: "both" | "none"
  /** Feature of another area, as the wire names its methods: skipped while that method is not served. */
  readonly needs?: string
  readonly run: (use: Use) => Promise<void>
}

export interface CliOptions extends RunOptions {
  /** The command goes through a replica that does not hold this one's session. */
  readonly of?: Place
  readonly code?: number
  /** It finds the gateway in the store that `env` names. */
  readonly stored?: boolean
}

const appFile = path.join(import.meta.dirname, "..", "app.ts")

export class Use {
  readonly stage: Stage
  readonly kind: Kind
  readonly #shared: Map<Kind, Promise<App>>
  #own: Promise<App> | undefined

  constructor(stage: Stage, kind: Kind, shared: Map<Kind, Promise<App>>) {
    this.stage = stage
    this.kind = kind
    this.#shared = shared
  }

  get tools() {
    const { tools } = this.stage.options
    if (tools === undefined) throw new Failed(`this needs openshell ${version}`)
    return tools
  }

  name(): string {
    return this.stage.name(this.kind)
  }

  /** `endpoint` undefined: the command looks into its store of gateways. */
  environment(endpoint: string | undefined): Record<string, string> {
    const { scratch } = this.stage
    return {
      PATH: `${this.tools.bin}:${process.env.PATH ?? ""}`,
      HOME: path.join(scratch, "home"),
      XDG_CONFIG_HOME: path.join(scratch, "config"),
      OPENSHELL_SYSTEM_GATEWAY_DIR: path.join(scratch, "system"),
      ...(endpoint === undefined ? {} : { OPENSHELL_GATEWAY_ENDPOINT: endpoint }),
      LANG: "C.UTF-8",
      TERM: "dumb",
      NO_COLOR: "1",
    }
  }

  async #environment(options: CliOptions): Promise<Record<string, string>> {
    return this.environment(options.stored === true ? undefined : await this.stage.endpoint(options.of?.id))
  }

  /** Runs the command line; its exit code must be `code`, 0 unless told otherwise. */
  async cli(args: ReadonlyArray<string>, options: CliOptions = {}): Promise<Finished> {
    const env = { ...(await this.#environment(options)), ...options.env }
    return mustRun(this.tools.openshell, args, { ...options, env })
  }

  /** What it prints. */
  async text(args: ReadonlyArray<string>, options: CliOptions = {}): Promise<string> {
    return (await this.cli(args, options)).stdout.toString()
  }

  /** Its exit code is the caller's to judge. */
  async tryCli(args: ReadonlyArray<string>, options: CliOptions = {}): Promise<Finished> {
    const env = { ...(await this.#environment(options)), ...options.env }
    return run(this.tools.openshell, args, { ...options, env })
  }

  /** A sandbox that runs the app: shared by the cases, or one for this case alone in a roll. */
  app(): Promise<App> {
    if (this.stage.options.roll) {
      this.#own ??= this.#makeApp()
      return this.#own
    }
    const known = this.#shared.get(this.kind)
    if (known !== undefined) return known
    const made = this.#makeApp()
    this.#shared.set(this.kind, made)
    return made
  }

  async #makeApp(): Promise<App> {
    const name = this.name()
    const port = await freePort()
    await this.cli([
      ...["sandbox", "create", "--name", name, "--detach", "--"],
      ...[process.execPath, appFile, String(port)],
    ])
    const place = await this.stage.find(name)
    await this.cli(
      [
        "sandbox",
        "exec",
        "-n",
        name,
        "--",
        "sh",
        "-c",
        `echo 'export PATH=${this.tools.bin}:$PATH' > .bash_profile`,
      ],
      { of: place },
    )
    return { ...place, port }
  }

  /** Ends what this case alone used. */
  async end(): Promise<void> {
    const own = await this.#own?.catch(() => undefined)
    if (own !== undefined) await this.tryCli(["sandbox", "delete", own.name])
  }
}

export interface App extends Place {
  /** Of its HTTP server. */
  readonly port: number
}

/** One that is free now; the next bind finds it free unless somebody is very quick. */
export const freePort = async (): Promise<number> => {
  const { createServer } = await import("node:net")
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === "object" && address !== null ? address.port : 0
}

/** Colours, and the frame around an error that is broken into lines. */
const plain = (text: string): string => stripVTControlCharacters(text).replaceAll(/\n\s+│\s*/g, " ")

export const includes = (shown: string, ...parts: ReadonlyArray<string>): void => {
  const text = plain(shown)
  for (const part of parts)
    if (!text.includes(part)) throw new Failed(`'${part}' is not in:\n${text.slice(-3_000)}`)
}

export const lacks = (shown: string, ...parts: ReadonlyArray<string>): void => {
  const text = plain(shown)
  for (const part of parts)
    if (text.includes(part)) throw new Failed(`'${part}' is in:\n${text.slice(-3_000)}`)
}

export const equal = <A>(found: A, wanted: A, what: string): void => assert.deepEqual(found, wanted, what)

/** Waits for a condition; its failures count as "not yet". */
export const until = (what: string, condition: () => Promise<boolean>, timeoutMs = 20_000): Promise<void> =>
  untilHeld(what, condition, timeoutMs, 100).catch((error: Error) => {
    throw new Failed(error.message)
  })
