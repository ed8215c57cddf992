/** The environment of a supervisor that the process driver starts (wire contract, appendix C). Pure. */
import { limits } from "../domain/Limits.ts"
import type { DriverSandbox } from "./Driver.ts"
import { lockVariable } from "./ProcessTree.ts"
import type { SandboxFiles } from "./SandboxFiles.ts"

/** What runs when a sandbox names no command (appendix C). */
export const defaultCommand: ReadonlyArray<string> = ["/bin/bash", "-l"]

/** Variables of the gateway that a sandbox may see; everything else, above all its secrets, stays behind. */
const inherited = ["PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "SHELL"] as const

/** A unix socket path of the sandbox's directory, or an abstract name (`@…`) where the path would be too long. */
export const sshSocketPath = (sandboxId: string, files: SandboxFiles): string =>
  Buffer.byteLength(files.sshSocket) <= limits.unixSocketPathBytes
    ? files.sshSocket
    : `@holdfast-ssh-${sandboxId}`

export const mainProcessSpec = (sandbox: DriverSandbox): string => {
  const { command, tty } = sandbox.spec
  return JSON.stringify(
    command.length === 0 ? { version: 1, command: defaultCommand, tty: true } : { version: 1, command, tty },
  )
}

/** The sandbox's own variables win over its template's. */
export const userEnvironment = (sandbox: DriverSandbox): string =>
  JSON.stringify({ ...sandbox.spec.template?.environment, ...sandbox.spec.environment })

export interface SupervisorSettings {
  /** URL that the supervisor dials. */
  readonly endpoint: string
  readonly logLevel: string
  /** PEM file of the gateway's authority, for an https:// endpoint. */
  readonly ca?: string | undefined
}

export const supervisorEnvironment = (
  sandbox: DriverSandbox,
  files: SandboxFiles,
  settings: SupervisorSettings,
  gateway: Readonly<Record<string, string | undefined>>,
): Record<string, string> => {
  const kept = inherited.flatMap((name) => {
    const value = gateway[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    ...Object.fromEntries(kept),
    HOME: files.workspace,
    OPENSHELL_SANDBOX_ID: sandbox.id,
    OPENSHELL_SANDBOX: sandbox.name,
    OPENSHELL_ENDPOINT: settings.endpoint,
    ...(settings.ca === undefined ? {} : { OPENSHELL_TLS_CA: settings.ca }),
    OPENSHELL_SANDBOX_TOKEN_FILE: files.token,
    OPENSHELL_SSH_SOCKET_PATH: sshSocketPath(sandbox.id, files),
    OPENSHELL_MAIN_PROCESS_SPEC: mainProcessSpec(sandbox),
    OPENSHELL_USER_ENVIRONMENT: userEnvironment(sandbox),
    OPENSHELL_LOG_LEVEL: sandbox.spec.logLevel === "" ? settings.logLevel : sandbox.spec.logLevel,
    [lockVariable]: sandbox.id,
  }
}
