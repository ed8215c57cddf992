/**
 * What a supervisor is told by its environment and its command line (wire contract, appendix C). Every refusal
 * names the variable or the flag.
 */
import { parseArgs } from "node:util"
import {
  Config,
  type ConfigError,
  ConfigProvider,
  Effect,
  Either,
  LogLevel,
  Option,
  Redacted,
  Schema,
} from "effect"
import { limits } from "../domain/Limits.ts"
import { levelNames, levelOf } from "../observe/Logs.ts"
import type { MainProcessSpec } from "./process/MainProcess.ts"
import { SupervisorError } from "./SupervisorError.ts"

export type TokenSource =
  | { readonly kind: "value"; readonly token: Redacted.Redacted<string> }
  | { readonly kind: "file"; readonly path: string }

export interface TlsFiles {
  readonly ca: string
  /** The client certificate; absent where the gateway asks for none. */
  readonly identity: { readonly cert: string; readonly key: string } | undefined
  readonly serverName: string | undefined
}

export interface SupervisorConfig {
  readonly sandboxId: string
  readonly sandboxName: string
  /** Gateway addresses, all `http` or all `https`. */
  readonly endpoints: readonly [string, ...string[]]
  readonly token: TokenSource
  readonly tls: TlsFiles | undefined
  /** A unix socket path, or `@name` for an abstract one, that also serves SSH. */
  readonly sshSocketPath: string | undefined
  readonly main: MainProcessSpec
  readonly userEnvironment: Readonly<Record<string, string>>
  readonly logLevel: LogLevel.LogLevel
  readonly logPushLevel: LogLevel.LogLevel
  readonly configPollMs: number
  readonly workdir: string
  /** `false`: OpenShell's wire and nothing else; the hello offers no capabilities. */
  readonly extensions: boolean
  /** Held for as long as the process lives, when set. */
  readonly lock: string | undefined
  /** The process environment, from which children inherit. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

type Environment = Readonly<Record<string, string | undefined>>

const refuse = (message: string): SupervisorError => new SupervisorError({ reason: "configuration", message })

const MainSpec = Schema.Struct({
  version: Schema.Literal(1),
  command: Schema.NonEmptyArray(Schema.String.pipe(Schema.nonEmptyString())).pipe(
    Schema.maxItems(limits.mainArguments),
  ),
  tty: Schema.optionalWith(Schema.Boolean, { default: () => false }),
})
const decodeMainSpec = Schema.decodeUnknownEither(Schema.parseJson(MainSpec))
const decodeVariables = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String })),
)

const required = (name: string): Config.Config<string> => Config.nonEmptyString(name)
const optional = (name: string): Config.Config<string | undefined> =>
  Config.option(Config.nonEmptyString(name)).pipe(Config.map(Option.getOrUndefined))
const level = (name: string, fallback: LogLevel.LogLevel): Config.Config<LogLevel.LogLevel> =>
  Config.string(name).pipe(
    Config.mapAttempt((text) => {
      const found = levelOf(text)
      if (found === undefined) throw new Error(`expected one of ${levelNames.join(", ")}`)
      return found
    }),
    Config.withDefault(fallback),
  )
const seconds = (name: string, fallbackMs: number): Config.Config<number> =>
  Config.number(name).pipe(
    Config.validate({ message: "expected a number of seconds above zero", validation: (value) => value > 0 }),
    Config.map((value) => Math.round(value * 1_000)),
    Config.withDefault(fallbackMs),
  )

const raw = Config.all({
  sandboxId: required("OPENSHELL_SANDBOX_ID"),
  sandboxName: required("OPENSHELL_SANDBOX"),
  endpoint: required("OPENSHELL_ENDPOINT"),
  token: optional("OPENSHELL_SANDBOX_TOKEN"),
  tokenFile: optional("OPENSHELL_SANDBOX_TOKEN_FILE"),
  ca: optional("OPENSHELL_TLS_CA"),
  cert: optional("OPENSHELL_TLS_CERT"),
  key: optional("OPENSHELL_TLS_KEY"),
  serverName: optional("OPENSHELL_GATEWAY_TLS_SERVER_NAME"),
  sshSocketPath: optional("OPENSHELL_SSH_SOCKET_PATH"),
  mainSpec: optional("OPENSHELL_MAIN_PROCESS_SPEC"),
  userEnvironment: optional("OPENSHELL_USER_ENVIRONMENT"),
  logLevel: level("OPENSHELL_LOG_LEVEL", LogLevel.Warning),
  logPushLevel: level("OPENSHELL_LOG_PUSH_LEVEL", LogLevel.Info),
  configPollMs: seconds("OPENSHELL_POLICY_POLL_INTERVAL_SECS", limits.configPollMs),
  lock: optional("HOLDFAST_SANDBOX_LOCK"),
})
type Raw = Config.Config.Success<typeof raw>

const endpointsOf = (text: string): Either.Either<readonly [string, ...string[]], SupervisorError> => {
  const urls = text.split(",").map((part) => part.trim())
  const bad = urls.find((url) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
  const [first, ...rest] = urls
  if (bad !== undefined || first === undefined) {
    return Either.left(refuse(`OPENSHELL_ENDPOINT: "${bad ?? ""}" is not an http:// or https:// address`))
  }
  if (new Set(urls.map((url) => new URL(url).protocol)).size > 1) {
    return Either.left(refuse("OPENSHELL_ENDPOINT: http:// and https:// addresses do not mix"))
  }
  return Either.right([first, ...rest])
}

const tlsOf = (values: Raw, secure: boolean): Either.Either<TlsFiles | undefined, SupervisorError> => {
  if (!secure) return Either.right(undefined)
  const { ca, cert, key, serverName } = values
  if (ca === undefined) return Either.left(refuse("OPENSHELL_TLS_CA: required for an https:// endpoint"))
  if (cert === undefined && key === undefined) return Either.right({ ca, identity: undefined, serverName })
  if (cert === undefined) return Either.left(refuse("OPENSHELL_TLS_CERT: required with OPENSHELL_TLS_KEY"))
  if (key === undefined) return Either.left(refuse("OPENSHELL_TLS_KEY: required with OPENSHELL_TLS_CERT"))
  return Either.right({ ca, identity: { cert, key }, serverName })
}

const tokenOf = ({ token, tokenFile }: Raw): Either.Either<TokenSource, SupervisorError> => {
  if (token !== undefined) return Either.right({ kind: "value", token: Redacted.make(token) })
  if (tokenFile !== undefined) return Either.right({ kind: "file", path: tokenFile })
  return Either.left(
    refuse("OPENSHELL_SANDBOX_TOKEN or OPENSHELL_SANDBOX_TOKEN_FILE: one of them is required"),
  )
}

const defaultMain: MainProcessSpec = { command: ["/bin/bash", "-l"], tty: true }

const mainOf = (
  text: string | undefined,
  command: ReadonlyArray<string>,
): Either.Either<MainProcessSpec, SupervisorError> => {
  const spec: Either.Either<MainProcessSpec, unknown> =
    text === undefined
      ? Either.right(defaultMain)
      : decodeMainSpec(
          text.startsWith("base64url:") ? Buffer.from(text.slice(10), "base64url").toString() : text,
        )
  if (Either.isLeft(spec)) {
    return Either.left(
      refuse('OPENSHELL_MAIN_PROCESS_SPEC: expected {"version":1,"command":[…],"tty":true|false}'),
    )
  }
  const [file, ...args] = command
  const { tty } = spec.right
  return Either.right({ command: file === undefined ? spec.right.command : [file, ...args], tty })
}

const variablesOf = (text: string | undefined): Either.Either<Record<string, string>, SupervisorError> =>
  text === undefined
    ? Either.right({})
    : Either.mapLeft(decodeVariables(text), () =>
        // The decoder's own message would repeat the values.
        refuse("OPENSHELL_USER_ENVIRONMENT: expected a JSON object whose values are strings"),
      )

interface Arguments {
  readonly workdir: string | undefined
  readonly extensions: boolean
  readonly command: ReadonlyArray<string>
}

const argumentsOf = (argv: ReadonlyArray<string>): Either.Either<Arguments, SupervisorError> => {
  const at = argv.indexOf("--")
  const own = at === -1 ? argv : argv.slice(0, at)
  return Either.try({
    try: () => {
      const { values, positionals } = parseArgs({
        args: [...own],
        allowPositionals: true,
        options: { workdir: { type: "string" }, "no-extensions": { type: "boolean", default: false } },
      })
      return {
        workdir: values.workdir,
        extensions: !values["no-extensions"],
        command: [...positionals, ...(at === -1 ? [] : argv.slice(at + 1))],
      }
    },
    catch: (cause) => refuse(cause instanceof Error ? cause.message : "the arguments are not readable"),
  })
}

/** `argv` is what follows `holdfast supervisor`: `[--workdir DIR] [--no-extensions] [--] [command…]`. */
export const fromEnvironment = (
  env: Environment,
  argv: ReadonlyArray<string>,
): Effect.Effect<SupervisorConfig, SupervisorError> =>
  Effect.gen(function* () {
    const set = Object.entries(env).flatMap(([name, value]) =>
      value === undefined || value === "" ? [] : [[name, value] as const],
    )
    const values = yield* raw.pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(set))),
      Effect.mapError((error) => refuse(describe(error))),
    )
    const { workdir, extensions, command } = yield* argumentsOf(argv)
    const endpoints = yield* endpointsOf(values.endpoint)
    return {
      sandboxId: values.sandboxId,
      sandboxName: values.sandboxName,
      endpoints,
      token: yield* tokenOf(values),
      tls: yield* tlsOf(values, endpoints[0].startsWith("https:")),
      sshSocketPath: values.sshSocketPath,
      main: yield* mainOf(values.mainSpec, command),
      userEnvironment: yield* variablesOf(values.userEnvironment),
      logLevel: values.logLevel,
      logPushLevel: values.logPushLevel,
      configPollMs: values.configPollMs,
      workdir: workdir ?? process.cwd(),
      extensions,
      lock: values.lock,
      environment: env,
    }
  })

/** `NAME: reason` for each variable of the error. */
const describe = (error: ConfigError.ConfigError): string => {
  switch (error._op) {
    case "And":
    case "Or":
      return `${describe(error.left)}; ${describe(error.right)}`
    case "MissingData":
      return `${error.path.join(".")}: required`
    default:
      return `${error.path.join(".")}: ${error.message}`
  }
}
