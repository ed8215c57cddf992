/**
 * What a command gets to work with, and the bridge from commander to an implementation that is loaded only
 * when its command runs. Nothing here imports Effect: `holdfast ssh-proxy` and `--help` start without it.
 */
import type { Command } from "commander"
import type { Scope } from "effect"
import type { Effect } from "effect/Effect"

export type OutputFormat = "table" | "wide" | "json" | "name"

/** The options that every command shares, after flags and environment are merged. */
export interface Globals {
  /** URL, or the name of a gateway that OpenShell's CLI has stored. */
  readonly gateway: string
  readonly workspace: string
  /** Undefined leaves the command its own default. */
  readonly timeoutMs: number | undefined
  readonly output: OutputFormat
  readonly color: boolean
  readonly tokenFile: string | undefined
  /** PEM files for https gateways. */
  readonly caFile: string | undefined
  readonly certificateFile: string | undefined
  readonly keyFile: string | undefined
  /** `auto`, `http2` or `websocket`. */
  readonly transport: string | undefined
  /** `false`: OpenShell's wire and nothing else. */
  readonly extensions: boolean
}

export interface Invocation {
  /** Operands before `--`, flattened. */
  readonly operands: ReadonlyArray<string>
  /** Everything after `--`, untouched. */
  readonly trailing: ReadonlyArray<string>
  readonly options: Readonly<Record<string, unknown>>
  readonly globals: Globals
  /** The name path, such as `sandbox get`. */
  readonly path: string
  /** The whole tree, for completions. */
  readonly program: Command
}

/** An implementation: an effect that ends with the exit code. */
export type CommandEffect = Effect<number, unknown, Scope.Scope>
export type Implementation = (invocation: Invocation) => CommandEffect | Promise<CommandEffect>

export const defaultGateway = "http://127.0.0.1:17670"

type Environment = Readonly<Record<string, string | undefined>>

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

const output = (value: unknown): OutputFormat =>
  value === "wide" || value === "json" || value === "name" ? value : "table"

export const globalsFrom = (
  options: Readonly<Record<string, unknown>>,
  environment: Environment,
): Globals => ({
  gateway:
    text(options.gateway) ??
    text(environment.HOLDFAST_GATEWAY) ??
    text(environment.OPENSHELL_GATEWAY_ENDPOINT) ??
    text(environment.OPENSHELL_GATEWAY) ??
    defaultGateway,
  workspace:
    text(options.workspace) ??
    text(environment.HOLDFAST_WORKSPACE) ??
    text(environment.OPENSHELL_WORKSPACE) ??
    "default",
  timeoutMs: typeof options.timeout === "number" ? options.timeout : undefined,
  output: output(options.output),
  color: options.color !== false,
  tokenFile: text(options.tokenFile) ?? text(environment.HOLDFAST_TOKEN_FILE),
  caFile: text(options.ca) ?? text(environment.HOLDFAST_CLIENT_CA),
  certificateFile: text(options.cert) ?? text(environment.HOLDFAST_CLIENT_CERT),
  keyFile: text(options.key) ?? text(environment.HOLDFAST_CLIENT_KEY),
  transport: text(options.transport) ?? text(environment.HOLDFAST_TRANSPORT),
  extensions: options.extensions !== false,
})

const pathOf = (command: Command): string => {
  const names: Array<string> = []
  for (let at: Command | null = command; at?.parent != null; at = at.parent) names.unshift(at.name())
  return names.join(" ")
}

const rootOf = (command: Command): Command => (command.parent === null ? command : rootOf(command.parent))

/**
 * The invocation of a parsed command. Commander drops the `--` it saw; what followed it is the tail of the
 * operands, so counting from the end of `argv` tells the two apart.
 */
export const invocationOf = (
  command: Command,
  argv: ReadonlyArray<string>,
  environment: Environment,
): Invocation => {
  const options: Record<string, unknown> = command.optsWithGlobals()
  const separator = argv.indexOf("--")
  const trailingCount = separator === -1 ? 0 : argv.length - separator - 1
  const split = command.args.length - trailingCount
  return {
    operands: command.args.slice(0, split),
    trailing: command.args.slice(split),
    options,
    globals: globalsFrom(options, environment),
    path: pathOf(command),
    program: rootOf(command),
  }
}
