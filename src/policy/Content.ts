/** What a policy may not say, whoever says it. */
import { limits } from "../domain/Limits.ts"
import { providerRulePrefix, type SandboxPolicy } from "../domain/Policy.ts"
import { canonical } from "./Canonical.ts"
import { withRules } from "./Merge.ts"

const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

const pathProblem = (path: string): string | undefined => {
  if (path.length > limits.policyPathLength)
    return `path ${shown(path)} exceeds ${limits.policyPathLength} characters`
  if (path.includes("\0")) return `path ${shown(path)} contains a NUL character`
  if (!path.startsWith("/")) return `path ${shown(path)} is not absolute`
  if (path.split("/").includes("..")) return `path ${shown(path)} contains '..'`
  return undefined
}

/** Matches everything, or all names below one top-level domain. */
const tooWide = (host: string): boolean => /^\*+(\.\*+)*(\.[^.*]+)?$/.test(host)

const isRoot = (identity: string): boolean => identity === "root" || identity === "0"

/** Why a policy is dangerous to run by; empty when it is not. Each entry is one finding. */
export const unsafeContent = (policy: SandboxPolicy): ReadonlyArray<string> => {
  const { readOnly = [], readWrite = [] } = policy.filesystem ?? {}
  const paths = [...readOnly, ...readWrite]
  const { runAsUser = "", runAsGroup = "" } = policy.process ?? {}
  return [
    ...(isRoot(runAsUser) ? [`run_as_user may not be ${shown(runAsUser)}`] : []),
    ...(isRoot(runAsGroup) ? [`run_as_group may not be ${shown(runAsGroup)}`] : []),
    ...(paths.length > limits.policyPaths ? [`more than ${limits.policyPaths} filesystem paths`] : []),
    ...paths.flatMap((path) => pathProblem(path) ?? []),
    ...readWrite.filter((path) => /^\/+$/.test(path)).map(() => "read_write may not be the whole filesystem"),
    ...Object.entries(policy.networkPolicies ?? {}).flatMap(([name, { endpoints = [] }]) =>
      endpoints
        .filter(({ host = "" }) => tooWide(host))
        .map(({ host = "" }) => `rule ${shown(name)} allows the too wide host ${shown(host)}`),
    ),
  ]
}

/** Why a policy cannot be stored as it is; undefined when it can. */
export const contentRefusal = (policy: SandboxPolicy): string | undefined => {
  if (Buffer.byteLength(canonical(policy)) > limits.policyBytes)
    return `policy exceeds ${limits.policyBytes} bytes`
  const unsafe = unsafeContent(policy)
  if (unsafe.length > 0) return `policy contains unsafe content: ${unsafe.join("; ")}`
  const badName = Object.keys(policy.networkPolicies ?? {}).find(
    (name) => name === "" || name.length > limits.policyRuleName || name === "__proto__",
  )
  if (badName !== undefined)
    return `network policy names have 1 to ${limits.policyRuleName} characters; ${shown(badName)} is none`
  const badPort = Object.values(policy.networkPolicies ?? {})
    .flatMap(({ endpoints = [] }) => endpoints)
    .flatMap(({ port = 0, ports = [] }) => [port, ...ports])
    .find((port) => port > 65_535)
  return badPort === undefined ? undefined : `policy has the port ${badPort}; ports end at 65535`
}

const reservedRules = (policy: SandboxPolicy): ReadonlyArray<string> =>
  Object.keys(policy.networkPolicies ?? {}).filter((name) => name.startsWith(providerRulePrefix))

/** Rule names that only the gateway gives. */
export const reservedRefusal = (policy: SandboxPolicy): string | undefined => {
  const [name] = reservedRules(policy)
  return name === undefined
    ? undefined
    : `network policy name '${name}' is reserved: '${providerRulePrefix}' rules come from providers`
}

/** The policy without what providers added to it. */
export const withoutProviderRules = (policy: SandboxPolicy): SandboxPolicy => {
  const reserved = new Set(reservedRules(policy))
  if (reserved.size === 0) return policy
  return withRules(
    policy,
    Object.fromEntries(Object.entries(policy.networkPolicies ?? {}).filter(([name]) => !reserved.has(name))),
  )
}
