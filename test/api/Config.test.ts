/** Configuration and policies over a real listener: what is set is what supervisors get. */
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  OpenShell,
  PolicySource,
  PolicyStatus,
  type SandboxPolicySchema,
  SettingScope,
  type UpdateConfigRequestSchema,
} from "../../src/wire/openshell-v1/Generated.ts"
import { TestCluster } from "../kit/Cluster.ts"

const { method } = OpenShell

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 1, database: "sqlite", withoutSupervisors: true })
}, 60_000)
afterAll(() => cluster?.stop(), 60_000)

type Policy = MessageInitShape<typeof SandboxPolicySchema>
type Update = MessageInitShape<typeof UpdateConfigRequestSchema>

const ask: TestCluster["ask"] = (one, request, asSandbox) => cluster.ask(one, request, asSandbox)

const web = (host: string, more: Policy = {}): Policy => ({
  version: 1,
  networkPolicies: { web: { name: "web", endpoints: [{ host, port: 443 }] } },
  ...more,
})

const created = async (name: string, policy?: Policy): Promise<string> => {
  const sandbox = await cluster.create(name, policy === undefined ? {} : { policy })
  return sandbox.metadata?.id ?? ""
}
const configOf = (sandboxId: string, asSandbox?: string) =>
  ask(method.getSandboxConfig, { sandboxId }, asSandbox)
const update = (request: Update, asSandbox?: string) => ask(method.updateConfig, request, asSandbox)
const hostsOf = (policy: MessageShape<typeof SandboxPolicySchema> | undefined) =>
  Object.values(policy?.networkPolicies ?? {}).flatMap(({ endpoints }) => endpoints.map(({ host }) => host))

describe("the policy of a sandbox", () => {
  it("is its version 1 from its creation on", async () => {
    const id = await created("born", web("a.example"))
    const config = await configOf(id, id)
    expect(config).toMatchObject({
      version: 1,
      policySource: PolicySource.SANDBOX,
      globalPolicyVersion: 0,
      workspace: "default",
      policyValidationFailureMode: "fail_closed",
    })
    expect(hostsOf(config.policy)).toEqual(["a.example"])
    expect(config.policyHash).toMatch(/^[0-9a-f]{64}$/)
    const { revision, activeVersion } = await ask(method.getSandboxPolicyStatus, { name: "born" })
    expect(revision).toMatchObject({
      version: 1,
      status: PolicyStatus.PENDING,
      policyHash: config.policyHash,
    })
    expect(activeVersion).toBe(0)
  })

  it("is none where nobody gave one, until the supervisor offers what it found", async () => {
    const id = await created("bare")
    const before = await configOf(id, id)
    expect([before.version, before.policy, before.policyHash]).toEqual([0, undefined, ""])
    const synced = await update({ name: "bare", policy: web("b.example"), workspace: "default" }, id)
    expect(synced.version).toBe(1)
    const after = await configOf(id, id)
    expect([after.version, hostsOf(after.policy)]).toEqual([1, ["b.example"]])
    expect(after.configRevision).not.toBe(before.configRevision)
    // Paths that the sandbox needs may be added by its supervisor, the network may not.
    const wider = web("b.example", { filesystem: { readOnly: ["/usr"] } })
    expect((await update({ name: "bare", policy: wider }, id)).version).toBe(2)
    await expect(update({ name: "bare", policy: web("c.example") }, id)).rejects.toThrow(
      /network policies are changed by users/,
    )
  })

  it("gets a new version by a change, and none by the same again", async () => {
    const id = await created("changing", web("a.example"))
    const first = await configOf(id)
    const request = { name: "changing", policy: web("b.example"), annotations: { why: "test" } }
    const changed = await update(request)
    expect(changed).toMatchObject({ version: 2, annotations: { why: "test" } })
    expect(await update(request)).toMatchObject({ version: 2, policyHash: changed.policyHash })
    const second = await configOf(id)
    expect(second).toMatchObject({ version: 2, policyHash: changed.policyHash })
    expect(second.configRevision).not.toBe(first.configRevision)
    expect((await configOf(id)).configRevision).toBe(second.configRevision)
    const { revisions } = await ask(method.listSandboxPolicies, { name: "changing" })
    expect(revisions.map(({ version, provenance }) => [version, provenance])).toEqual([
      [2, { why: "test" }],
      [1, {}],
    ])
  })

  it("is changed by merge operations, in their order", async () => {
    const id = await created("merging", web("a.example"))
    await update({
      name: "merging",
      mergeOperations: [
        {
          operation: {
            case: "addRule",
            value: {
              ruleName: "api",
              rule: {
                endpoints: [{ host: "api.example", port: 443, protocol: "rest", access: "read-only" }],
              },
            },
          },
        },
        {
          operation: {
            case: "addAllowRules",
            value: { host: "api.example", port: 443, rules: [{ allow: { method: "POST", path: "/x" } }] },
          },
        },
        { operation: { case: "removeRule", value: { ruleName: "web" } } },
      ],
    })
    const { policy, version } = await configOf(id)
    expect(version).toBe(2)
    expect(Object.keys(policy?.networkPolicies ?? {})).toEqual(["api"])
    const [endpoint] = policy?.networkPolicies.api?.endpoints ?? []
    expect(endpoint?.access).toBe("")
    expect(endpoint?.rules.map(({ allow }) => `${allow?.method} ${allow?.path}`)).toEqual([
      "GET **",
      "HEAD **",
      "OPTIONS **",
      "POST /x",
    ])
  })

  it("is what the supervisor has loaded once it says so", async () => {
    const id = await created("reporting", web("a.example"))
    await update({ name: "reporting", policy: web("b.example") })
    await ask(
      method.reportPolicyStatus,
      { sandboxId: id, version: 1, status: PolicyStatus.FAILED, loadError: "no" },
      id,
    )
    await ask(method.reportPolicyStatus, { sandboxId: id, version: 2, status: PolicyStatus.LOADED }, id)
    const { sandbox } = await ask(method.getSandbox, { name: "reporting" })
    expect(sandbox?.status?.currentPolicyVersion).toBe(2)
    const { revisions } = await ask(method.listSandboxPolicies, { name: "reporting" })
    expect(revisions.map(({ status, loadError }) => [status, loadError])).toEqual([
      [PolicyStatus.LOADED, ""],
      [PolicyStatus.FAILED, "no"],
    ])
    expect(revisions[0]?.loadedAtMs).toBeGreaterThan(0n)
    expect((await ask(method.getSandboxPolicyStatus, { name: "reporting" })).activeVersion).toBe(2)
  })

  it("is changed under a resource version once", async () => {
    await created("versioned", web("a.example"))
    const { sandbox } = await ask(method.getSandbox, { name: "versioned" })
    const expectedResourceVersion = sandbox?.metadata?.resourceVersion ?? 0n
    const at = (host: string) => update({ name: "versioned", policy: web(host), expectedResourceVersion })
    expect((await at("b.example")).version).toBe(2)
    await expect(at("c.example")).rejects.toThrow(
      /failed due to concurrent modification \(current resource_version: \d+\)/,
    )
  })

  it("survives ten changes at once, each as a version of its own", async () => {
    const id = await created("contended", web("a.example"))
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) =>
        update({
          name: "contended",
          mergeOperations: [
            {
              operation: {
                case: "addRule",
                value: {
                  ruleName: `r${index}`,
                  rule: { endpoints: [{ host: `h${index}.example`, port: 1 }] },
                },
              },
            },
          ],
        }),
      ),
    )
    const done = outcomes.filter(({ status }) => status === "fulfilled").length
    const { policy, version } = await configOf(id)
    expect(version).toBe(1 + done)
    expect(Object.keys(policy?.networkPolicies ?? {})).toHaveLength(1 + done)
  })
})

describe("settings", () => {
  const set = (name: string, settingKey: string, value: boolean) =>
    update({ name, global: name === "", settingKey, settingValue: { value: { case: "boolValue", value } } })

  it("hold for one sandbox, or for all, where the latter wins", async () => {
    const id = await created("settled")
    const first = await configOf(id)
    expect(first.settings.ocsf_json_enabled).toMatchObject({ scope: SettingScope.UNSPECIFIED })
    expect(Object.keys(first.settings).sort()).toEqual([
      "agent_policy_proposals_enabled",
      "ocsf_json_enabled",
      "proposal_approval_mode",
      "providers_v2_enabled",
    ])
    const { settingsRevision } = await set("settled", "ocsf_json_enabled", true)
    const own = await configOf(id)
    expect(own.settings.ocsf_json_enabled).toMatchObject({
      value: { value: { case: "boolValue", value: true } },
      scope: SettingScope.SANDBOX,
    })
    expect(own.configRevision).not.toBe(first.configRevision)

    const everywhere = await set("", "ocsf_json_enabled", false)
    expect(everywhere.settingsRevision).toBe(settingsRevision + 1n)
    expect((await configOf(id)).settings.ocsf_json_enabled).toMatchObject({
      value: { value: { case: "boolValue", value: false } },
      scope: SettingScope.GLOBAL,
    })
    const gateway = await ask(method.getGatewayConfig, {})
    expect(gateway.settings.ocsf_json_enabled?.value).toEqual({ case: "boolValue", value: false })
    expect(gateway.settings.proposal_approval_mode?.value.case).toBeUndefined()
    await expect(set("settled", "ocsf_json_enabled", false)).rejects.toThrow(/managed globally/)

    const remove = { global: true, settingKey: "ocsf_json_enabled", deleteSetting: true }
    expect((await update(remove)).deleted).toBe(true)
    expect((await update(remove)).deleted).toBe(false)
    expect((await configOf(id)).configRevision).toBe(own.configRevision)
  })
})

describe("the global policy", () => {
  it("stands in for every sandbox's until it is deleted", async () => {
    const id = await created("governed", web("a.example"))
    const bare = await created("governed-bare")
    const own = await configOf(id)
    const { version } = await update({ global: true, policy: web("g.example") })
    const config = await configOf(id)
    expect(config).toMatchObject({
      policySource: PolicySource.GLOBAL,
      globalPolicyVersion: version,
      version: 1,
    })
    expect(hostsOf(config.policy)).toEqual(["g.example"])
    // No supervisor should look for a policy of its own now.
    expect((await configOf(bare)).version).toBe(1)
    await expect(update({ name: "governed", policy: web("b.example") })).rejects.toThrow(/managed globally/)
    const { revision } = await ask(method.getSandboxPolicyStatus, { global: true })
    expect(revision).toMatchObject({ version, status: PolicyStatus.LOADED })

    expect((await update({ global: true, settingKey: "policy", deleteSetting: true })).deleted).toBe(true)
    expect((await configOf(id)).configRevision).toBe(own.configRevision)
    const { revisions } = await ask(method.listSandboxPolicies, { global: true })
    expect(revisions.map(({ status }) => status)).toEqual([PolicyStatus.SUPERSEDED])
  })
})
