/** Host names of services (wire contract 3.7): `{workspace}--{sandbox}[--{service}].{base domain}`. */
import { limits } from "./Limits.ts"
import type { ServiceName } from "./Service.ts"

const dnsLabel = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/

/** What is wrong with a name that is to be part of a host name; undefined when nothing is. */
export const labelProblem = (name: string): string | undefined => {
  if (name.length > limits.nameLength) return `must be at most ${limits.nameLength} characters`
  if (!dnsLabel.test(name)) return "must be a DNS label (lowercase letters, digits and '-')"
  return name.includes("--") ? "must not contain '--'" : undefined
}

/** `host` of `host`, `host:port` or `[v6]:port`, in lower case and without a dot at its end. */
export const hostnameOf = (host: string): string => host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "")

/**
 * The service that a Host header names: `foreign` when it is not about services at all, `malformed` when it
 * lies in a base domain and is no service's name.
 */
export const serviceOfHost = (
  host: string,
  baseDomains: ReadonlyArray<string>,
): ServiceName | "foreign" | "malformed" => {
  const hostname = hostnameOf(host)
  const base = baseDomains.find((domain) => hostname.endsWith(`.${domain}`))
  if (base === undefined) return "foreign"
  const names = hostname.slice(0, -base.length - 1).split("--")
  const [workspace, sandbox, service = ""] = names
  if (workspace === undefined || sandbox === undefined || names.length > 3) return "malformed"
  return names.some((name) => labelProblem(name) !== undefined)
    ? "malformed"
    : { workspace, sandbox, service }
}

/** Where people open the service: `publicUrl` gives scheme and port. */
export const serviceUrl = (
  { workspace, sandbox, service }: ServiceName,
  baseDomain: string,
  publicUrl: string,
): string => {
  const { protocol, port } = new URL(publicUrl)
  const label = service === "" ? `${workspace}--${sandbox}` : `${workspace}--${sandbox}--${service}`
  return `${protocol}//${label}.${baseDomain}${port === "" ? "" : `:${port}`}/`
}
