/** The environment of a supervisor, as OpenShell 0.0.111 reads it (wire contract, appendix C). */
import { readFileSync } from "node:fs"

export interface MainSpec {
  readonly command: ReadonlyArray<string>
  readonly tty: boolean
}

export interface Settings {
  readonly sandboxId: string
  /** Its name: the `name` of UpdateConfig. */
  readonly sandbox: string
  readonly endpoint: string
  readonly token: string
  /** A path, or `@name` for an abstract socket. */
  readonly sshSocketPath: string
  readonly main: MainSpec
  readonly userEnvironment: Readonly<Record<string, string>>
  readonly workdir: string
  readonly policyPollMs: number
  readonly routeRefreshMs: number
}

type Environment = Readonly<Record<string, string | undefined>>

const required = (env: Environment, name: string): string => {
  const value = env[name]
  if (value === undefined || value === "") throw new Error(`${name} is not set`)
  return value
}

const mainSpec = (text: string | undefined): MainSpec => {
  if (text === undefined) return { command: ["/bin/bash", "-l"], tty: true }
  const json = text.startsWith("base64url:")
    ? Buffer.from(text.slice("base64url:".length), "base64url").toString()
    : text
  const { version, command, tty }: { version?: number; command?: ReadonlyArray<string>; tty?: boolean } =
    JSON.parse(json)
  if (version !== 1 || command === undefined) throw new Error("OPENSHELL_MAIN_PROCESS_SPEC is no such value")
  return { command, tty: tty === true }
}

const seconds = (text: string | undefined, fallback: number): number =>
  1_000 * (text === undefined ? fallback : Number(text))

/** `--workdir DIR`, then perhaps a command, which wins over the variable. */
export const readSettings = (env: Environment, argv: ReadonlyArray<string>): Settings => {
  const at = argv.indexOf("--workdir")
  const tokenFile = env.OPENSHELL_SANDBOX_TOKEN_FILE
  return {
    sandboxId: required(env, "OPENSHELL_SANDBOX_ID"),
    sandbox: required(env, "OPENSHELL_SANDBOX"),
    endpoint: required(env, "OPENSHELL_ENDPOINT"),
    token:
      env.OPENSHELL_SANDBOX_TOKEN ??
      (tokenFile === undefined
        ? required(env, "OPENSHELL_SANDBOX_TOKEN")
        : readFileSync(tokenFile, "utf8").trim()),
    sshSocketPath: required(env, "OPENSHELL_SSH_SOCKET_PATH"),
    main: mainSpec(env.OPENSHELL_MAIN_PROCESS_SPEC),
    userEnvironment: JSON.parse(env.OPENSHELL_USER_ENVIRONMENT ?? "{}"),
    workdir: (at >= 0 ? argv[at + 1] : undefined) ?? process.cwd(),
    policyPollMs: seconds(env.OPENSHELL_POLICY_POLL_INTERVAL_SECS, 10),
    routeRefreshMs: seconds(env.OPENSHELL_ROUTE_REFRESH_INTERVAL_SECS, 5),
  }
}
