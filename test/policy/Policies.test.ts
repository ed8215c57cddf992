/** Policies as values: merging, composing, hashing, and what they may not say. */
import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type NetworkEndpoint,
  type NetworkRule,
  type PolicyOperation,
  providerRulePrefix,
  type SandboxPolicy,
} from "../../src/domain/Policy.ts"
import type { SettingMap } from "../../src/domain/SandboxConfig.ts"
import { canonical, policyHash, revisionOf, same } from "../../src/policy/Canonical.ts"
import {
  type ConfigParts,
  composeConfig,
  composePolicy,
  effectiveSettings,
} from "../../src/policy/Compose.ts"
import {
  contentRefusal,
  reservedRefusal,
  unsafeContent,
  withoutProviderRules,
} from "../../src/policy/Content.ts"
import { difference, describe as inWords } from "../../src/policy/Difference.ts"
import { liveChangeRefusal } from "../../src/policy/LiveChange.ts"
import { merge } from "../../src/policy/Merge.ts"
import { mergeRules, portsOf, subtractRule } from "../../src/policy/Rules.ts"

const hosts = fc.constantFrom("a.example", "b.example", "c.example")
const ports = fc.integer({ min: 1, max: 4 })
const names = fc.constantFrom("web", "api", "constructor", "toString")
const paths = fc.constantFrom("/usr/bin/curl", "/usr/bin/git", "/bin/sh")
const patterns = fc.record({ method: fc.constantFrom("GET", "POST"), path: fc.constantFrom("/", "/x") })

const endpoints: fc.Arbitrary<NetworkEndpoint> = fc.record(
  {
    host: hosts,
    port: ports,
    protocol: fc.constant("rest"),
    denyRules: fc.array(patterns, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: ["host", "port", "protocol"] },
)
const rules: fc.Arbitrary<NetworkRule> = fc.record({
  endpoints: fc.array(endpoints, { minLength: 1, maxLength: 3 }),
  binaries: fc.uniqueArray(
    paths.map((path) => ({ path })),
    { minLength: 1, maxLength: 2, selector: ({ path }) => path },
  ),
})
const policies: fc.Arbitrary<SandboxPolicy> = fc.record(
  {
    version: fc.constant(1),
    networkPolicies: fc.dictionary(names, rules, { minKeys: 1 }),
    filesystem: fc.record({ readOnly: fc.array(fc.constantFrom("/usr", "/etc"), { minLength: 1 }) }),
  },
  { requiredKeys: ["version", "networkPolicies"] },
)
const additions: fc.Arbitrary<PolicyOperation> = fc.record({
  kind: fc.constant("addRule" as const),
  ruleName: names,
  rule: rules,
})
const operations: fc.Arbitrary<PolicyOperation> = fc.oneof(
  additions,
  fc.record({ kind: fc.constant("removeRule" as const), ruleName: names }),
  fc.record({
    kind: fc.constant("removeEndpoint" as const),
    ruleName: fc.oneof(names, fc.constant("")),
    host: hosts,
    port: ports,
  }),
  fc.record({ kind: fc.constant("removeBinary" as const), ruleName: names, binaryPath: paths }),
)

const merged = (policy: SandboxPolicy, ...all: ReadonlyArray<PolicyOperation>): SandboxPolicy =>
  Either.getOrThrow(merge(policy, all))

const shuffledKeys = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shuffledKeys)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, field]) => [key, shuffledKeys(field)]),
  )
}

describe("the canonical form", () => {
  it("does not depend on the order of keys, nor on what is undefined", () => {
    fc.assert(
      fc.property(policies, (policy) => {
        expect(canonical(shuffledKeys({ ...policy, landlock: undefined }))).toBe(canonical(policy))
      }),
    )
  })

  it("gives a hash that differs exactly when content does", () => {
    fc.assert(
      fc.property(policies, policies, (a, b) => {
        expect(policyHash(a) === policyHash(b)).toBe(same(a, b))
      }),
    )
  })

  it("gives a revision of 64 bits", () => {
    expect(BigInt(revisionOf({ a: 1 }))).toBeLessThan(2n ** 64n)
    // The first eight bytes of SHA-256('{"a":1}'), little-endian.
    expect(BigInt(revisionOf({ a: 1 })).toString(16)).toBe("2d7ac55c7fbd5a01")
  })
})

describe("merge operations", () => {
  it("change nothing when their effect is in place", () => {
    fc.assert(
      fc.property(policies, operations, (policy, operation) => {
        const once = merged(policy, operation)
        expect(canonical(merged(once, operation))).toBe(canonical(once))
      }),
    )
  })

  it("on different rules give the same in any order", () => {
    fc.assert(
      fc.property(policies, additions, additions, (policy, a, b) => {
        fc.pre(a.kind === "addRule" && b.kind === "addRule" && a.ruleName !== b.ruleName)
        expect(policyHash(merged(policy, a, b))).toBe(policyHash(merged(policy, b, a)))
      }),
    )
  })

  it("of a removed rule leave no trace of it", () => {
    fc.assert(
      fc.property(policies, names, (policy, ruleName) => {
        const { networkPolicies = {} } = merged(policy, { kind: "removeRule", ruleName })
        expect(Object.keys(networkPolicies)).not.toContain(ruleName)
      }),
    )
  })

  it("of a removed endpoint leave its address in no rule", () => {
    fc.assert(
      fc.property(policies, hosts, ports, (policy, host, port) => {
        const left = merged(policy, { kind: "removeEndpoint", ruleName: "", host, port })
        const all = Object.values(left.networkPolicies ?? {}).flatMap((rule) => rule.endpoints ?? [])
        expect(all.some((one) => one.host === host && portsOf(one).includes(port))).toBe(false)
      }),
    )
  })

  it("keep the other ports of an endpoint that has several", () => {
    const policy: SandboxPolicy = {
      networkPolicies: { web: { endpoints: [{ host: "A.example", ports: [80, 443, 8080] }] } },
    }
    const operation = { kind: "removeEndpoint", ruleName: "", host: "a.example", port: 443 } as const
    expect(merged(policy, operation)).toEqual({
      networkPolicies: { web: { endpoints: [{ host: "A.example", ports: [80, 8080] }] } },
    })
  })

  it("refuse rules for an endpoint that is not there or whose requests nobody reads", () => {
    const policy: SandboxPolicy = { networkPolicies: { web: { endpoints: [{ host: "a", port: 1 }] } } }
    const add = (host: string) =>
      Either.flip(merge(policy, [{ kind: "addDenyRules", host, port: 1, denyRules: [{ method: "GET" }] }]))
    expect(Either.getOrThrow(add("b")).message).toBe("endpoint b:1 not found in the policy")
    expect(Either.getOrThrow(add("a")).message).toMatch(/has no protocol/)
  })

  it("are undone by taking out what they brought", () => {
    fc.assert(
      fc.property(rules, rules, (before, addition) => {
        const after = mergeRules(before, addition)
        expect(canonical(subtractRule(after, addition, before))).toBe(canonical(before))
        expect(subtractRule(addition, addition, undefined)).toBeUndefined()
      }),
    )
  })
})

describe("the effective configuration", () => {
  const parts = (changes: Partial<ConfigParts> = {}): ConfigParts => ({
    workspace: "default",
    own: { policy: undefined, version: 0, settings: {} },
    global: { policy: undefined, version: 0, settings: {} },
    providerRules: {},
    providerEnvRevision: "0",
    ...changes,
  })

  it("has the rules of providers beside the policy's own, whatever their order", () => {
    fc.assert(
      fc.property(policies, fc.dictionary(names, rules), (policy, fragments) => {
        const entries = Object.entries(fragments).map(([name, rule]) => [
          `${providerRulePrefix}${name}`,
          rule,
        ])
        const composed = composePolicy(policy, Object.fromEntries(entries))
        expect(policyHash(composed ?? {})).toBe(
          policyHash(composePolicy(policy, Object.fromEntries(entries.reverse())) ?? {}),
        )
        expect(canonical(withoutProviderRules(composed ?? {}))).toBe(canonical(policy))
        expect(Object.keys(composed?.networkPolicies ?? {})).toHaveLength(
          Object.keys(policy.networkPolicies ?? {}).length + entries.length,
        )
      }),
    )
    expect(composePolicy(undefined, { [`${providerRulePrefix}x`]: {} })).toBeUndefined()
  })

  it("has another revision exactly when its content is another", () => {
    const settings = fc.dictionary(
      fc.constantFrom("ocsf_json_enabled", "providers_v2_enabled"),
      fc.record({ type: fc.constant("bool" as const), value: fc.boolean() }),
    )
    const scopes = fc.record({
      policy: fc.option(policies, { nil: undefined }),
      version: fc.integer({ min: 0, max: 2 }),
      settings,
    })
    fc.assert(
      fc.property(scopes, scopes, scopes, (own, other, global) => {
        const a = composeConfig(parts({ own, global }))
        const b = composeConfig(parts({ own: other, global }))
        const { configRevision: _a, ...contentA } = a
        const { configRevision: _b, ...contentB } = b
        expect(a.configRevision === b.configRevision).toBe(same(contentA, contentB))
      }),
    )
  })

  it("does not tell a change of the providers' environment by the revision of the configuration", () => {
    const one = composeConfig(parts())
    const two = composeConfig(parts({ providerEnvRevision: "7" }))
    expect(two.configRevision).toBe(one.configRevision)
    expect(two.providerEnvRevision).toBe("7")
  })

  it("lets a global setting win and names the scope of each", () => {
    const on = { type: "bool", value: true } as const
    const off = { type: "bool", value: false } as const
    const own: SettingMap = { ocsf_json_enabled: on, providers_v2_enabled: on }
    const settings = effectiveSettings({ ocsf_json_enabled: off }, own)
    expect(settings.ocsf_json_enabled).toEqual({ value: off, scope: "global" })
    expect(settings.providers_v2_enabled).toEqual({ value: on, scope: "sandbox" })
    expect(settings.proposal_approval_mode).toEqual({ value: undefined, scope: "none" })
  })
})

describe("content", () => {
  it.each<[string, SandboxPolicy, RegExp]>([
    ["root as the user", { process: { runAsUser: "root" } }, /run_as_user/],
    ["root as the group", { process: { runAsGroup: "0" } }, /run_as_group/],
    ["a relative path", { filesystem: { readOnly: ["usr"] } }, /not absolute/],
    ["a path that climbs", { filesystem: { readOnly: ["/usr/../etc"] } }, /'\.\.'/],
    ["a writable root", { filesystem: { readWrite: ["/"] } }, /whole filesystem/],
    ["a long path", { filesystem: { readOnly: [`/${"a".repeat(4_096)}`] } }, /exceeds/],
    ["any host", { networkPolicies: { a: { endpoints: [{ host: "*" }] } } }, /too wide/],
    ["a whole domain", { networkPolicies: { a: { endpoints: [{ host: "*.com" }] } } }, /too wide/],
  ])("is refused when it is %s", (_, policy, text) => {
    expect(unsafeContent(policy).join()).toMatch(text)
    expect(contentRefusal(policy)).toMatch(/^policy contains unsafe content: /)
  })

  it("may name a wildcard below a domain, and be any policy of the others", () => {
    expect(unsafeContent({ networkPolicies: { a: { endpoints: [{ host: "*.example.com" }] } } })).toEqual([])
    fc.assert(fc.property(policies, (policy) => contentRefusal(policy) === undefined))
  })

  it("may not name rules as the gateway does", () => {
    expect(reservedRefusal({ networkPolicies: { _provider_x: {} } })).toMatch(/reserved/)
  })
})

describe("a live sandbox", () => {
  const started: SandboxPolicy = {
    version: 1,
    filesystem: { includeWorkdir: true, readOnly: ["/usr"], readWrite: ["/tmp"] },
    process: { runAsUser: "sandbox" },
    landlock: { compatibility: "best_effort" },
  }

  it.each<[string, SandboxPolicy]>([
    ["landlock", { ...started, landlock: { compatibility: "hard_requirement" } }],
    ["its user", { ...started, process: { runAsUser: "other" } }],
    ["a path taken away", { ...started, filesystem: { includeWorkdir: true, readWrite: ["/tmp"] } }],
    ["its working directory", { ...started, filesystem: { readOnly: ["/usr"], readWrite: ["/tmp"] } }],
    ["no filesystem policy", { version: 1 }],
  ])("cannot take a change of %s", (_, next) => {
    expect(liveChangeRefusal(started, next)).toMatch(/on a live sandbox/)
  })

  it("takes more paths, other network rules, and defaults left out", () => {
    const { process: _, landlock: __, ...rest } = started
    const next = { ...rest, filesystem: { ...started.filesystem, readOnly: ["/usr", "/opt"] } }
    expect(liveChangeRefusal(started, next)).toBeUndefined()
    fc.assert(fc.property(policies, (policy) => liveChangeRefusal({ version: 1 }, policy) === undefined))
  })
})

describe("a difference", () => {
  it("is empty for one policy and names what is on one side only", () => {
    fc.assert(fc.property(policies, (policy) => inWords(difference(policy, policy)) === ""))
    const a: SandboxPolicy = { networkPolicies: { x: {}, y: {} } }
    const b: SandboxPolicy = { filesystem: {}, networkPolicies: { y: { name: "n" }, z: {} } }
    expect(inWords(difference(a, b))).toBe("+z -x ~y ~filesystem")
  })
})
