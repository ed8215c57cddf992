/**
 * Which gateway to talk to and how to prove who one is. Plain synchronous code without Effect, because
 * `holdfast ssh-proxy` runs it on every ssh.
 */
import { readFileSync } from "node:fs"
import { limits } from "../domain/Limits.ts"
import type { ClientTlsOptions } from "../wire/grpc/GrpcClient.ts"
import { plainUserAgent } from "../wire/grpc/UserAgents.ts"
import { readStoredGateway } from "./GatewayStore.ts"

export interface Endpoint {
  /** `http://host:port` (plain HTTP/2) or `https://host:port`. */
  readonly url: string
  /** Further replicas' addresses, with the same credentials; tried in turn when one does not answer. */
  readonly others?: ReadonlyArray<string>
  readonly tls?: ClientTlsOptions
  /** Bearer token; never printed. */
  readonly token?: string
  /** How connections are made; when absent, HTTP/2 and where a network does not pass that a WebSocket. */
  readonly transport?: "http2" | "websocket"
  /**
   * `false`: OpenShell's wire and nothing else, as its own clients speak it. No stream is resumable, commands go by
   * `ExecSandbox`, and no call is asked twice.
   */
  readonly extensions?: false
}

/** Why no endpoint could be made of the settings, as what is wrong and what to do. */
export class EndpointProblem {
  readonly what: string
  readonly next: string
  constructor(what: string, next: string) {
    this.what = what
    this.next = next
  }
}

export interface EndpointSettings {
  /** URL, several URLs with commas between, or name of a gateway in OpenShell's gateway store. */
  readonly gateway: string
  readonly tokenFile?: string | undefined
  readonly caFile?: string | undefined
  readonly certificateFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly transport?: string | undefined
  readonly extensions?: boolean | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

export const resolveEndpoint = (
  settings: EndpointSettings,
  environment: Environment,
): Endpoint | EndpointProblem => {
  const stored = settings.gateway.includes("://")
    ? undefined
    : readStoredGateway(settings.gateway, environment)
  if (stored instanceof EndpointProblem) return stored
  const addresses = addressesOf(stored?.url ?? settings.gateway)
  if (addresses instanceof EndpointProblem) return addresses
  const { transport = "auto" } = settings
  if (!isTransport(transport)) {
    return new EndpointProblem(`"${transport}" is no transport`, `Choose one of ${transports.join(", ")}.`)
  }
  try {
    const token = tokenOf(settings, environment) ?? stored?.token
    const open = addresses.find(({ protocol, hostname }) => protocol === "http:" && !isLoopback(hostname))
    if (token !== undefined && open !== undefined) {
      return new EndpointProblem(
        `a token would cross the network unencrypted to ${open.host}`,
        "Use the gateway's https:// address.",
      )
    }
    const [url = "", ...others] = addresses.map(originOf)
    const encrypted = addresses.some(({ protocol }) => protocol === "https:")
    return {
      url,
      ...(others.length === 0 ? {} : { others }),
      ...(encrypted ? { tls: { ...stored?.tls, ...tlsFiles(settings) } } : {}),
      ...(token === undefined ? {} : { token }),
      ...(transport === "http2" || transport === "websocket" ? { transport } : {}),
      ...(settings.extensions === false ? { extensions: false } : {}),
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new EndpointProblem(`cannot read credentials: ${why}`, "Check the file named there.")
  }
}

export const transports = ["auto", "http2", "websocket"] as const

const isTransport = (name: string): name is (typeof transports)[number] =>
  transports.some((transport) => transport === name)

const originOf = (address: URL): string =>
  address.origin === "null" ? `${address.protocol}//${address.host}` : address.origin

const addressesOf = (text: string): ReadonlyArray<URL> | EndpointProblem => {
  const words = text.split(",").map((word) => word.trim())
  if (words.length > limits.clientGateways) {
    return new EndpointProblem(
      `${words.length} gateway addresses are too many`,
      `Name at most ${limits.clientGateways}, or the address of a balancer.`,
    )
  }
  const addresses: Array<URL> = []
  for (const word of words) {
    const address = gatewayUrl(word)
    if (address instanceof EndpointProblem) return address
    addresses.push(address)
  }
  return addresses
}

const gatewayUrl = (text: string): URL | EndpointProblem => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    return new EndpointProblem(
      `"${text}" is not a gateway address`,
      "Write it as http://host:port or https://host:port.",
    )
  }
  return url
}

export const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname === "[::1]" || hostname === "::1" || /^127(\.\d+){3}$/.test(hostname)

const tokenOf = (settings: EndpointSettings, environment: Environment): string | undefined => {
  const text =
    settings.tokenFile === undefined ? environment.HOLDFAST_TOKEN : readFileSync(settings.tokenFile, "utf8")
  const token = text?.trim() ?? ""
  return token === "" ? undefined : token
}

const tlsFiles = (settings: EndpointSettings): ClientTlsOptions => ({
  ...(settings.caFile === undefined ? {} : { ca: readFileSync(settings.caFile) }),
  ...(settings.certificateFile === undefined ? {} : { cert: readFileSync(settings.certificateFile) }),
  ...(settings.keyFile === undefined ? {} : { key: readFileSync(settings.keyFile) }),
})

/** The headers of every call that say who calls. */
export const callerHeaders = ({ token, extensions }: Endpoint): Readonly<Record<string, string>> => ({
  ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  ...(extensions === false ? { "user-agent": plainUserAgent } : {}),
})
