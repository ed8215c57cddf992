/** Which headers pass between a client and an application behind a service (wire contract 3.7). Pure. */

export interface Origin {
  /** Of the client's connection. */
  readonly remoteAddress: string | undefined
  readonly protocol: "http" | "https"
  /** As the client named it. */
  readonly host: string
}

/** RFC 9110, 7.6.1, and what older implementations use. They speak of one connection, not of the request. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
])

/** Credentials for the gateway or for what stands in front of it: no application in a sandbox sees them. */
const ofGateway: ReadonlySet<string> = new Set([
  "authorization",
  "x-client-cert",
  "x-forwarded-client-cert",
  "x-ssl-client-cert",
])

/** Written anew by the gateway: what a client says of itself here is worth nothing. */
const rewritten: ReadonlySet<string> = new Set([
  "forwarded",
  "host",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
])

/** Cookies by which people are known to the gateway's edge. */
const authCookie = /^CF_(Authorization|AppSession|Device|Binding)\b/i

/** The cookies that an application may see; empty when there are none. */
export const passedCookies = (header: string): string =>
  header
    .split(";")
    .map((cookie) => cookie.trim())
    .filter((cookie) => cookie !== "" && !authCookie.test(cookie))
    .join("; ")

type Values = Readonly<Record<string, ReadonlyArray<string> | undefined>>

/** Lower-case names that a Connection header adds to those of one connection. */
const named = (headers: Values): ReadonlySet<string> =>
  new Set(
    (headers.connection ?? []).flatMap((value) =>
      value
        .toLowerCase()
        .split(",")
        .map((name) => name.trim()),
    ),
  )

/** Headers as Node takes them: name, value, name, value. */
export type FlatHeaders = Array<string>

/** What the application gets; `headers` by lower-case name, pseudo-headers ignored. */
export const toApplication = (headers: Values, { remoteAddress, protocol, host }: Origin): FlatHeaders => {
  const dropped = named(headers)
  const flat: FlatHeaders = ["host", host]
  for (const [name, values = []] of Object.entries(headers)) {
    if (name.startsWith(":") || name.startsWith("cf-access-") || dropped.has(name)) continue
    if (hopByHop.has(name) || ofGateway.has(name) || rewritten.has(name)) continue
    if (name === "cookie") {
      const cookies = passedCookies(values.join("; "))
      if (cookies !== "") flat.push(name, cookies)
    } else for (const value of values) flat.push(name, value)
  }
  const before = headers["x-forwarded-for"] ?? []
  const clients = remoteAddress === undefined ? before : [...before, remoteAddress]
  if (clients.length > 0) flat.push("x-forwarded-for", clients.join(", "))
  flat.push("x-forwarded-host", host, "x-forwarded-proto", protocol)
  return flat
}

/** What the client gets, by name with all values. */
export const toClient = (headers: Values): ReadonlyArray<readonly [string, ReadonlyArray<string>]> => {
  const dropped = named(headers)
  return Object.entries(headers).flatMap(([name, values = []]) =>
    hopByHop.has(name) || dropped.has(name) ? [] : [[name, values] as const],
  )
}

const sameOrigin = (origin: string, { host, protocol }: Origin): boolean =>
  URL.canParse(origin) && URL.canParse(`${protocol}://${host}`)
    ? new URL(origin).origin === new URL(`${protocol}://${host}`).origin
    : false

/**
 * A page of another origin asks: a browser then says so. Where services are served without TLS to whoever runs on
 * the same machine, any web page that is open there could otherwise use them. Following a link is no such use.
 */
export const isCrossOrigin = (method: string, headers: Values, own: Origin): boolean => {
  const origin = headers.origin?.[0]
  if (origin !== undefined) return !sameOrigin(origin, own)
  const site = headers["sec-fetch-site"]?.[0]
  if (site === undefined || site === "same-origin" || site === "none") return false
  const follows =
    headers["sec-fetch-mode"]?.[0] === "navigate" && headers["sec-fetch-dest"]?.[0] === "document"
  return !(follows && (method === "GET" || method === "HEAD"))
}
