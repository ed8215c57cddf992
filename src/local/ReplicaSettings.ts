/** The settings of a replica of a local cluster, as the environment of `holdfast gateway run`. */
import { mkdir, writeFile } from "node:fs/promises"
import path from "node:path"
import { credentialKeysFile } from "../auth/CredentialKeys.ts"
import type { PeerFiles } from "../auth/PeerCertificates.ts"
import { limits } from "../domain/Limits.ts"
import { host, type ReplicaPorts } from "./Ports.ts"

export interface ReplicaSettings {
  readonly name: string
  readonly clusterId: string
  readonly databaseUrl: string
  readonly stateDir: string
  readonly ports: ReplicaPorts
  readonly peerFiles: PeerFiles
  /** URL of the front door. */
  readonly publicUrl: string
  readonly logLevel: string
}

export const jwtDirectory = (stateDir: string): string => path.join(stateDir, "jwt")
/** The key that encrypts the credentials of providers is kept in it. */
export const credentialDirectory = (stateDir: string): string => path.join(stateDir, "credentials")
export const pkiDirectory = (stateDir: string): string => path.join(stateDir, "pki")
export const logFileOf = (stateDir: string, name: string): string =>
  path.join(stateDir, "logs", `${name}.log`)
export const settingsFileOf = (stateDir: string, name: string): string =>
  path.join(stateDir, "replicas", `${name}.env`)

export const environmentOf = (settings: ReplicaSettings): Readonly<Record<string, string>> => ({
  HOLDFAST_NAME: settings.name,
  HOLDFAST_CLUSTER_ID: settings.clusterId,
  HOLDFAST_DATABASE_URL: settings.databaseUrl,
  HOLDFAST_LISTEN: `${host}:${settings.ports.client}`,
  HOLDFAST_PEER_LISTEN: `${host}:${settings.ports.peer}`,
  HOLDFAST_METRICS_LISTEN: `${host}:${settings.ports.metrics}`,
  HOLDFAST_PEER_CA: settings.peerFiles.ca,
  HOLDFAST_PEER_CERT: settings.peerFiles.cert,
  HOLDFAST_PEER_KEY: settings.peerFiles.key,
  HOLDFAST_JWT_DIR: jwtDirectory(settings.stateDir),
  HOLDFAST_CREDENTIAL_KEY_FILE: path.join(credentialDirectory(settings.stateDir), credentialKeysFile),
  HOLDFAST_PUBLIC_URL: settings.publicUrl,
  HOLDFAST_STATE_DIR: settings.stateDir,
  HOLDFAST_DRIVER: "process",
  HOLDFAST_LOG_LEVEL: settings.logLevel,
  HOLDFAST_DRAIN_DEADLINE_MS: String(limits.localDrainDeadlineMs),
})

/** The environment of this process without settings of another gateway or supervisor, then these on top. */
export const processEnvironment = (
  settings: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> => {
  const kept = Object.entries(own).flatMap(([name, value]) =>
    value === undefined || /^(HOLDFAST|OPENSHELL)_/.test(name) ? [] : [[name, value] as const],
  )
  // A cluster that is started inside a sandbox of the process driver stays part of it.
  const lock = own.HOLDFAST_SANDBOX_LOCK
  return {
    ...Object.fromEntries(kept),
    ...(lock === undefined ? {} : { HOLDFAST_SANDBOX_LOCK: lock }),
    ...settings,
  }
}

/**
 * Writes the settings so that the same replica can be started by hand, with `node --env-file` or from a
 * shell. Mode 0600: the database's password is in it.
 */
export const writeSettings = async (
  stateDir: string,
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> => {
  const file = settingsFileOf(stateDir, name)
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  const lines = Object.entries(environment).map(([key, value]) => `${key}='${value}'\n`)
  await writeFile(file, lines.join(""), { mode: 0o600 })
}
