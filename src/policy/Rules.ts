/** Network rules and their endpoints: which are the same, and how two become one. */
import type { NetworkBinary, NetworkEndpoint, NetworkRule, NetworkRules } from "../domain/Policy.ts"
import { canonical, same } from "./Canonical.ts"

/** The rule of that name; `constructor` is a name like any other. */
export const ruleNamed = (rules: NetworkRules | undefined, name: string): NetworkRule | undefined =>
  rules !== undefined && Object.hasOwn(rules, name) ? rules[name] : undefined

/** Without fields that say nothing: as the wire would give it back. */
const compact = <T extends object>(value: T): T => {
  const kept: Partial<T> = { ...value }
  for (const key in kept) {
    const field = kept[key]
    if (field === undefined || (Array.isArray(field) && field.length === 0)) delete kept[key]
  }
  return { ...kept } as T
}

/** The ports of an endpoint, each once and in order; `port` and `ports` are two ways to say the same. */
export const portsOf = ({ port, ports = [] }: NetworkEndpoint): ReadonlyArray<number> =>
  [...new Set(port === undefined || port === 0 ? ports : [port, ...ports])].sort((a, b) => a - b)

const hostOf = ({ host = "" }: NetworkEndpoint): string => host.toLowerCase()

export const isAt = (endpoint: NetworkEndpoint, host: string, port: number): boolean =>
  hostOf(endpoint) === host.toLowerCase() && portsOf(endpoint).includes(port)

const keyOf = (endpoint: NetworkEndpoint): string =>
  canonical([hostOf(endpoint), portsOf(endpoint), endpoint.path ?? ""])

/** Those of `more` that are not among `items`, after them. */
export const union = <T>(
  items: ReadonlyArray<T> | undefined,
  more: ReadonlyArray<T> | undefined,
): ReadonlyArray<T> => {
  const known = new Set((items ?? []).map(canonical))
  const added = (more ?? []).filter((item) => {
    const key = canonical(item)
    return known.has(key) ? false : known.add(key)
  })
  return [...(items ?? []), ...added]
}

/** What the second says wins; lists are united. */
const mergeEndpoint = (a: NetworkEndpoint, b: NetworkEndpoint): NetworkEndpoint =>
  compact({
    ...a,
    ...b,
    host: a.host,
    port: a.port,
    ports: a.ports,
    rules: union(a.rules, b.rules),
    denyRules: union(a.denyRules, b.denyRules),
    allowedIps: union(a.allowedIps, b.allowedIps),
    graphqlPersistedQueries:
      a.graphqlPersistedQueries === undefined && b.graphqlPersistedQueries === undefined
        ? undefined
        : { ...a.graphqlPersistedQueries, ...b.graphqlPersistedQueries },
  })

const mergeEndpoints = (
  endpoints: ReadonlyArray<NetworkEndpoint>,
  more: ReadonlyArray<NetworkEndpoint>,
): ReadonlyArray<NetworkEndpoint> => {
  const merged = new Map<string, NetworkEndpoint>()
  for (const endpoint of [...endpoints, ...more]) {
    const key = keyOf(endpoint)
    const known = merged.get(key)
    merged.set(key, known === undefined ? endpoint : mergeEndpoint(known, endpoint))
  }
  return [...merged.values()]
}

const pathOf = ({ path = "" }: NetworkBinary): string => path

/** Both rules as one: the endpoints and binaries of either. Merging a rule twice is merging it once. */
export const mergeRules = (a: NetworkRule, b: NetworkRule): NetworkRule =>
  compact({
    ...a,
    name: a.name ?? b.name,
    endpoints: mergeEndpoints(a.endpoints ?? [], b.endpoints ?? []),
    binaries: [
      ...(a.binaries ?? []),
      ...(b.binaries ?? []).filter(
        (binary) => !(a.binaries ?? []).some((known) => pathOf(known) === pathOf(binary)),
      ),
    ],
  })

/** The rule without that host and port; undefined when no endpoint is left. */
export const withoutEndpoint = (rule: NetworkRule, host: string, port: number): NetworkRule | undefined => {
  const endpoints = (rule.endpoints ?? []).flatMap((endpoint) => {
    if (!isAt(endpoint, host, port)) return [endpoint]
    const left = portsOf(endpoint).filter((other) => other !== port)
    if (left.length === 0) return []
    const { port: _port, ports: _ports, ...rest } = endpoint
    return [left.length === 1 ? { ...rest, port: left[0] } : { ...rest, ports: left }]
  })
  return endpoints.length === 0 ? undefined : { ...rule, endpoints }
}

export const withoutBinary = (rule: NetworkRule, path: string): NetworkRule => {
  const binaries = (rule.binaries ?? []).filter((binary) => pathOf(binary) !== path)
  return compact({ ...rule, binaries })
}

/** What `rule` has left when what `addition` brought is taken out of it; undefined when nothing is. */
export const subtractRule = (
  rule: NetworkRule,
  addition: NetworkRule,
  before: NetworkRule | undefined,
): NetworkRule | undefined => {
  if (before !== undefined && same(rule, mergeRules(before, addition))) return before
  if (before === undefined && same(rule, addition)) return undefined
  const hadEndpoint = (endpoint: NetworkEndpoint) =>
    (before?.endpoints ?? []).some((known) => keyOf(known) === keyOf(endpoint))
  const hadBinary = (path: string) => (before?.binaries ?? []).some((known) => pathOf(known) === path)
  const brought = new Set((addition.endpoints ?? []).filter((it) => !hadEndpoint(it)).map(keyOf))
  const broughtBinaries = new Set((addition.binaries ?? []).map(pathOf).filter((path) => !hadBinary(path)))
  const left = compact({
    ...rule,
    endpoints: (rule.endpoints ?? []).filter((endpoint) => !brought.has(keyOf(endpoint))),
    binaries: (rule.binaries ?? []).filter((binary) => !broughtBinaries.has(pathOf(binary))),
  })
  return left.endpoints === undefined ? undefined : left
}
