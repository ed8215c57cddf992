/** `holdfast policy` and `holdfast settings` against operations on a store, in this process. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { configOperations } from "../../src/api/ConfigMethods.ts"
import { draftOperations } from "../../src/api/DraftMethods.ts"
import { bind } from "../../src/api/Endpoint.ts"
import { developer } from "../../src/api/Principal.ts"
import { sandboxOperations } from "../../src/api/SandboxMethods.ts"
import { Configuration } from "../../src/policy/Configuration.ts"
import { ProviderContribution } from "../../src/policy/ProviderContribution.ts"
import { submit } from "../../src/policy/Submission.ts"
import { Configs } from "../../src/store/Configs.ts"
import { Sandboxes } from "../../src/store/Sandboxes.ts"
import { config, configCalls } from "../../src/wire/openshell-v1/Config.ts"
import { drafts } from "../../src/wire/openshell-v1/Drafts.ts"
import { sandboxes } from "../../src/wire/openshell-v1/Sandboxes.ts"
import { type ApiServer, startApi } from "../kit/ApiServer.ts"
import { aSandbox, storeKit } from "../kit/Stores.ts"
import { commandLine } from "./InProcess.ts"

const kit = storeKit("sqlite")
let api: ApiServer
let folder = ""
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "holdfast-policies-"))
  api = await startApi(kit.fresh(), { "": developer }, [
    bind(config.get, configOperations.get),
    bind(config.gateway, configOperations.gateway),
    bind(config.update, configOperations.update),
    bind(config.policyStatus, configOperations.policyStatus),
    bind(config.policies, configOperations.policies),
    bind(drafts.get, draftOperations.get),
    bind(drafts.approve, draftOperations.approve),
    bind(drafts.approveAll, draftOperations.approveAll),
    bind(drafts.reject, draftOperations.reject),
    bind(drafts.edit, draftOperations.edit),
    bind(drafts.undo, draftOperations.undo),
    bind(drafts.clear, draftOperations.clear),
    bind(drafts.history, draftOperations.history),
    bind(sandboxes.get, sandboxOperations.get),
    bind(sandboxes.list, sandboxOperations.list),
  ])
}, 60_000)
afterAll(async () => {
  await api?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const { holdfast, json } = commandLine(() => api.url)

const stored = (name: string) =>
  api.run(
    Effect.flatMap(Sandboxes, (rows) => rows.insert(aSandbox({ name, spec: { ...spec, policy: base } }))),
  )
const spec = aSandbox().spec
const base = { version: 1, networkPolicies: { web: { endpoints: [{ host: "a.example", port: 443 }] } } }

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe("holdfast policy", () => {
  it("prints a policy as the file that sets it", async () => {
    await stored("shown")
    const { code, stdout } = await holdfast("policy", "get", "shown")
    expect(code).toBe(0)
    expect(parse(stdout)).toEqual({
      version: 1,
      network_policies: { web: { endpoints: [{ host: "a.example", port: 443 }] } },
    })
    const path = file("same.yaml", stdout)
    expect((await holdfast("policy", "set", "shown", "--policy", path)).stderr).toBe(
      'Version 1 is the policy of sandbox "shown" now.\n',
    )
    expect(await json("policy", "get", "shown", "--effective")).toMatchObject({ version: 1 })
  })

  it("sets and updates, lists the versions and shows their status", async () => {
    await stored("changed")
    const path = file("next.json", JSON.stringify({ ...base, networkPolicies: {} }))
    expect(await json("policy", "set", "changed", "--policy", path, "--annotation", "by=me")).toMatchObject({
      version: 2,
    })
    const updated = await holdfast(
      ...["policy", "update", "changed", "--allow", "api.example:443", "--protocol", "rest"],
      ...["--rule", "api", "--binary", "/usr/bin/curl", "--deny-request", "api.example:443 DELETE /**"],
    )
    expect(updated).toMatchObject({ code: 0, stderr: 'Version 3 is the policy of sandbox "changed" now.\n' })
    expect(await json("policy", "get", "changed")).toMatchObject({
      networkPolicies: {
        api: {
          endpoints: [{ host: "api.example", port: 443, denyRules: [{ method: "DELETE", path: "/**" }] }],
          binaries: [{ path: "/usr/bin/curl" }],
        },
      },
    })
    const { stdout } = await holdfast("policy", "list", "changed", "--no-headers")
    expect(stdout.split("\n").map((line) => line.split(/\s+/).slice(0, 2))).toEqual([
      ["3", "pending"],
      ["2", "pending"],
      ["1", "pending"],
      [""],
    ])
    const status = await holdfast("policy", "status", "changed", "--policy-version", "2")
    expect(status.stdout).toMatch(/^Version: +2\n/)
    expect(status.stdout).toMatch(/\nIn force: +none\nby: +me\n$/)
  })

  it("waits until the sandbox has answered, and ends with code 7 when it refuses", async () => {
    const { id } = await stored("waiting")
    const waiting = holdfast("policy", "update", "waiting", "--remove-rule", "web", "--wait")
    const answer = Effect.gen(function* () {
      const configs = yield* Configs
      while (!(yield* configs.report(id, 2, { status: "failed", loadError: "cannot" })))
        yield* Effect.sleep(20)
    })
    await api.run(Effect.timeout(answer, 10_000))
    expect(await waiting).toMatchObject({ code: 7, stderr: expect.stringContaining("why: cannot") })
  })

  it("refuses what names nothing, and a file that is no policy", async () => {
    expect((await holdfast("policy", "get")).code).toBe(2)
    expect((await holdfast("policy", "update", "shown")).code).toBe(2)
    expect((await holdfast("policy", "update", "shown", "--allow", "nowhere")).code).toBe(2)
    const path = file("odd.yaml", "network: yes\n")
    const { code, stderr } = await holdfast("policy", "set", "shown", "--policy", path)
    expect(code).toBe(2)
    expect(stderr).toContain("openshell.sandbox.v1.SandboxPolicy")
    expect((await holdfast("policy", "get", "nobody")).code).toBe(5)
  })

  it("sets and deletes the global policy", async () => {
    const path = file("global.json", JSON.stringify(base))
    expect((await holdfast("policy", "set", "--global", "--policy", path)).stderr).toBe(
      "Version 1 is the global policy now.\n",
    )
    expect((await holdfast("policy", "list", "--global", "-o", "name")).stdout).toBe("1\n")
    expect((await holdfast("policy", "delete", "--global")).stderr).toBe("Deleted the global policy.\n")
    expect((await holdfast("policy", "delete", "--global")).stderr).toBe("There is no global policy.\n")
  })
})

describe("holdfast policy draft", () => {
  const proposal = (ruleName: string) => ({
    ruleName,
    proposedRule: { endpoints: [{ host: `${ruleName}.example`, port: 443 }] },
    rationale: "denied",
    securityNotes: "",
    confidence: 1,
    denialSummaryIds: [],
    stage: "",
    supersedesChunkId: "",
    hitCount: 1,
    firstSeenMs: 0,
    lastSeenMs: 0,
    binary: "",
    validationResult: "",
  })

  it("shows, edits, approves, undoes, rejects and clears proposals, and tells their history", async () => {
    const sandbox = await stored("drafted")
    const { acceptedIds } = await api.run(
      submit(sandbox, {
        name: "drafted",
        workspace: "default",
        mode: "mechanistic",
        chunks: ["one", "two", "three"].map(proposal),
        denials: 0,
      }).pipe(Effect.provide(Configuration.layer), Effect.provide(ProviderContribution.none)),
    )
    const [one = "", two = ""] = acceptedIds
    const listed = await holdfast("policy", "draft", "list", "drafted", "-o", "name")
    expect(listed.stdout.trim().split("\n")).toEqual(acceptedIds)
    const rule = file("rule.yaml", "endpoints:\n  - host: other.example\n    port: 80\n")
    expect((await holdfast("policy", "draft", "edit", "drafted", one, "--rule", rule)).code).toBe(0)
    expect((await holdfast("policy", "draft", "get", "drafted", one)).stdout).toContain("other.example")
    expect((await holdfast("policy", "draft", "approve", "drafted", one, "--review-token", "old")).code).toBe(
      7,
    )
    expect((await holdfast("policy", "draft", "approve", "drafted", one)).stderr).toBe(
      "Approved. The policy is version 2 now.\n",
    )
    expect(await json("policy", "draft", "undo", "drafted", one)).toMatchObject({ version: 3 })
    expect((await holdfast("policy", "draft", "reject", "drafted", two, "--reason", "no")).code).toBe(0)
    expect(await json("policy", "draft", "approve-all", "drafted")).toMatchObject({ version: 4, approved: 2 })
    expect((await holdfast("policy", "draft", "clear", "drafted")).stderr).toBe(
      "Gave up 0 pending proposals.\n",
    )
    const history = await holdfast("policy", "draft", "history", "drafted", "--no-headers")
    expect(history.stdout.trim().split("\n")).toHaveLength(9)
    expect((await holdfast("policy", "draft", "get", "drafted", "gone")).code).toBe(5)
  })
})

describe("holdfast settings", () => {
  it("sets, shows and deletes them for one sandbox and for all", async () => {
    await stored("set")
    expect((await holdfast("settings", "set", "ocsf_json_enabled", "true", "--sandbox", "set")).stderr).toBe(
      'ocsf_json_enabled of sandbox "set" is true now.\n',
    )
    await holdfast("settings", "set", "proposal_approval_mode", "auto")
    const shown = await holdfast("settings", "get", "set")
    expect(shown.stdout).toMatch(/\nocsf_json_enabled +true +sandbox\nproposal_approval_mode +auto +global\n/)
    expect(await json("settings", "get")).toContainEqual({
      key: "proposal_approval_mode",
      value: "auto",
      scope: "global",
    })
    expect((await holdfast("settings", "delete", "proposal_approval_mode")).stderr).toBe(
      "Deleted proposal_approval_mode of all sandboxes.\n",
    )
    expect((await holdfast("settings", "set", "ocsf_json_enabled", "maybe")).code).toBe(2)
    const unknown = await holdfast("settings", "set", "nope", "true")
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("unknown setting key 'nope'") })
  })
})

describe("a poll of an unchanged configuration", () => {
  it("costs two small statements, however large the policy is", async () => {
    const { id } = await stored("polled")
    await api.call("", configCalls.get, id)
    const before = api.statements()
    for (let poll = 0; poll < 10; poll++) await api.call("", configCalls.get, id)
    expect(api.statements() - before).toBe(20)
  })
})
