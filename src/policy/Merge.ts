/** Merge operations: small changes of a policy, applied one after the other or not at all. */
import { Either } from "effect"
import { InvalidArgument } from "../domain/Errors.ts"
import type {
  AllowRule,
  NetworkEndpoint,
  NetworkRule,
  NetworkRules,
  PolicyOperation,
  SandboxPolicy,
} from "../domain/Policy.ts"
import { isAt, mergeRules, ruleNamed, union, withoutBinary, withoutEndpoint } from "./Rules.ts"

type Merged = Either.Either<SandboxPolicy, InvalidArgument>

const refuse = (message: string) => Either.left(new InvalidArgument({ message }))

/** The policy with these network rules; the field is left out where there are none, as on the wire. */
export const withRules = (policy: SandboxPolicy, rules: NetworkRules): SandboxPolicy => {
  const { networkPolicies: _, ...rest } = policy
  return Object.keys(rules).length === 0 ? rest : { ...rest, networkPolicies: rules }
}

/** The rules with that one replaced, or removed where the new one is undefined. */
export const replaceRule = (
  rules: NetworkRules,
  name: string,
  rule: NetworkRule | undefined,
): NetworkRules => {
  const { [name]: _, ...others } = rules
  return rule === undefined ? others : { ...rules, [name]: rule }
}

/** What the shorthand of an HTTP endpoint stands for, so that rules can be added to it. */
const shorthand: ReadonlyMap<string, ReadonlyArray<string>> = new Map([
  ["read-only", ["GET", "HEAD", "OPTIONS"]],
  ["read-write", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"]],
  ["full", ["*"]],
])

const isInspected = ({ protocol = "" }: NetworkEndpoint): boolean => protocol !== "" && protocol !== "tcp"

const withAllowRules = (
  endpoint: NetworkEndpoint,
  rules: ReadonlyArray<AllowRule>,
): Either.Either<NetworkEndpoint, InvalidArgument> => {
  const { access = "", ...rest } = endpoint
  if (access === "") return Either.right({ ...endpoint, rules: union(endpoint.rules, rules) })
  const methods = endpoint.protocol === "rest" ? shorthand.get(access) : undefined
  if (methods === undefined)
    return refuse(
      `endpoint ${endpoint.host} has access '${access}', which stands for no list of rules; give it explicit rules first`,
    )
  const expanded = methods.map((method): AllowRule => ({ allow: { method, path: "**" } }))
  return Either.right({ ...rest, rules: union(union(endpoint.rules, expanded), rules) })
}

/** Changes every endpoint at that address in all rules; there must be one, and its requests must be inspected. */
const atEndpoints = (
  policy: SandboxPolicy,
  host: string,
  port: number,
  change: (endpoint: NetworkEndpoint) => Either.Either<NetworkEndpoint, InvalidArgument>,
): Merged =>
  Either.gen(function* () {
    let found = false
    const rules: Record<string, NetworkRule> = {}
    for (const [name, rule] of Object.entries(policy.networkPolicies ?? {})) {
      const endpoints: Array<NetworkEndpoint> = []
      for (const endpoint of rule.endpoints ?? []) {
        if (!isAt(endpoint, host, port)) {
          endpoints.push(endpoint)
          continue
        }
        if (!isInspected(endpoint))
          yield* refuse(`endpoint ${host}:${port} has no protocol whose requests could be told apart`)
        found = true
        endpoints.push(yield* change(endpoint))
      }
      rules[name] = rule.endpoints === undefined ? rule : { ...rule, endpoints }
    }
    if (!found) yield* refuse(`endpoint ${host}:${port} not found in the policy`)
    return withRules(policy, rules)
  })

const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535

const apply = (policy: SandboxPolicy, operation: PolicyOperation): Merged => {
  const rules = policy.networkPolicies ?? {}
  switch (operation.kind) {
    case "addRule": {
      const { ruleName, rule } = operation
      if (ruleName === "") return refuse("add_rule: rule_name is required")
      if ((rule.endpoints ?? []).length === 0) return refuse(`add_rule: rule '${ruleName}' needs an endpoint`)
      const known = ruleNamed(rules, ruleName)
      return Either.right(
        withRules(policy, {
          ...rules,
          [ruleName]: mergeRules(known ?? { name: rule.name ?? ruleName }, rule),
        }),
      )
    }
    case "removeEndpoint": {
      const { ruleName, host, port } = operation
      if (host === "") return refuse("remove_endpoint: host is required")
      if (!isPort(port)) return refuse("remove_endpoint: port must be between 1 and 65535")
      const left = Object.entries(rules).reduce<NetworkRules>(
        (kept, [name, rule]) =>
          (ruleName === "" || name === ruleName) &&
          (rule.endpoints ?? []).some((endpoint) => isAt(endpoint, host, port))
            ? replaceRule(kept, name, withoutEndpoint(rule, host, port))
            : kept,
        rules,
      )
      return Either.right(withRules(policy, left))
    }
    case "removeRule":
      return operation.ruleName === ""
        ? refuse("remove_rule: rule_name is required")
        : Either.right(withRules(policy, replaceRule(rules, operation.ruleName, undefined)))
    case "removeBinary": {
      const rule = ruleNamed(rules, operation.ruleName)
      if (rule === undefined) return Either.right(policy)
      return Either.right(
        withRules(policy, { ...rules, [operation.ruleName]: withoutBinary(rule, operation.binaryPath) }),
      )
    }
    case "addDenyRules":
      return atEndpoints(policy, operation.host, operation.port, (endpoint) =>
        Either.right({ ...endpoint, denyRules: union(endpoint.denyRules, operation.denyRules) }),
      )
    case "addAllowRules":
      return atEndpoints(policy, operation.host, operation.port, (endpoint) =>
        withAllowRules(endpoint, operation.rules),
      )
  }
}

/** The policy after all operations, in their order; the first that cannot be done refuses them all. */
export const merge = (policy: SandboxPolicy, operations: ReadonlyArray<PolicyOperation>): Merged =>
  operations.reduce<Merged>(
    (merged, operation) => Either.flatMap(merged, (current) => apply(current, operation)),
    Either.right(policy),
  )
