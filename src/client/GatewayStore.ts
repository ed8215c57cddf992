/**
 * Gateways that OpenShell's CLI has stored (`openshell gateway add`), so that their names work here as well.
 * Layout: `<config>/openshell/gateways/<name>/{metadata.json,mtls/,oidc_token.json}` (OpenShell 0.0.111).
 */
import { existsSync, readFileSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import type { ClientTlsOptions } from "../wire/grpc/GrpcClient.ts"
import { EndpointProblem } from "./Endpoint.ts"

export interface StoredGateway {
  readonly url: string
  readonly tls?: ClientTlsOptions
  readonly token?: string
}

type Environment = Readonly<Record<string, string | undefined>>

export const readStoredGateway = (
  name: string,
  environment: Environment,
): StoredGateway | EndpointProblem => {
  const unknown = new EndpointProblem(
    `"${name}" is neither a URL nor the name of a stored gateway`,
    "Write --gateway http://host:port.",
  )
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/.test(name)) return unknown
  const folder = storeFolders(environment)
    .map((root) => join(root, "gateways", name))
    .find((candidate) => existsSync(join(candidate, "metadata.json")))
  if (folder === undefined) return unknown
  try {
    const metadata: unknown = JSON.parse(readFileSync(join(folder, "metadata.json"), "utf8"))
    const url = textField(metadata, "gateway_endpoint")
    if (url === undefined) return new EndpointProblem(`stored gateway "${name}" has no address`, unknown.next)
    const token = readToken(join(folder, "oidc_token.json"))
    return { url, tls: readTls(join(folder, "mtls")), ...(token === undefined ? {} : { token }) }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new EndpointProblem(`stored gateway "${name}" is not readable: ${why}`, unknown.next)
  }
}

const storeFolders = (environment: Environment): ReadonlyArray<string> => [
  join(environment.XDG_CONFIG_HOME || join(environment.HOME || homedir(), ".config"), "openshell"),
  environment.OPENSHELL_SYSTEM_GATEWAY_DIR || "/etc/openshell",
]

const textField = (value: unknown, key: string): string | undefined => {
  const entry = Object.entries(typeof value === "object" && value !== null ? value : {}).find(
    ([name]) => name === key,
  )?.[1]
  return typeof entry === "string" && entry !== "" ? entry : undefined
}

const readToken = (file: string): string | undefined =>
  existsSync(file) ? textField(JSON.parse(readFileSync(file, "utf8")), "access_token") : undefined

const readTls = (folder: string): ClientTlsOptions => {
  const read = (file: string) =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file)) : undefined
  const [ca, cert, key] = [read("ca.crt"), read("tls.crt"), read("tls.key")]
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  }
}
