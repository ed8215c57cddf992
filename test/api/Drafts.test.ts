/** Proposals over a real listener: submitted by the sandbox, decided by users, applied to the policy. */
import type { MessageInitShape } from "@bufbuild/protobuf"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { Status } from "../../src/domain/Status.ts"
import { OpenShell, type PolicyChunkSchema } from "../../src/wire/openshell-v1/Generated.ts"
import { openTyped } from "../kit/Calls.ts"
import { TestCluster } from "../kit/Cluster.ts"

const { method } = OpenShell

let cluster: TestCluster
beforeAll(async () => {
  cluster = await TestCluster.start({ replicas: 1, database: "sqlite", withoutSupervisors: true })
}, 60_000)
afterAll(() => cluster?.stop(), 60_000)

const ask: TestCluster["ask"] = (one, request, asSandbox) => cluster.ask(one, request, asSandbox)

type Chunk = MessageInitShape<typeof PolicyChunkSchema>

const proposal = (ruleName: string, securityNotes = ""): Chunk => ({
  ruleName,
  proposedRule: { endpoints: [{ host: `${ruleName}.example`, port: 443 }], binaries: [{ path: "/bin/sh" }] },
  rationale: "denied",
  confidence: 0.5,
  binary: "/bin/sh",
  securityNotes,
})

const sandbox = async (name: string) => {
  const id = (await cluster.create(name, { policy: { version: 1 } })).metadata?.id ?? ""
  const submit = (...proposedChunks: ReadonlyArray<Chunk>) =>
    ask(
      method.submitPolicyAnalysis,
      { name, proposedChunks: [...proposedChunks], analysisMode: "mechanistic" },
      id,
    )
  const read = async (statusFilter = "") => ask(method.getDraftPolicy, { name, statusFilter })
  const rules = async () => {
    const { policy } = await ask(method.getSandboxConfig, { sandboxId: id })
    return Object.keys(policy?.networkPolicies ?? {})
  }
  const version = async () => (await ask(method.getSandboxConfig, { sandboxId: id })).version
  return { id, name, submit, read, rules, version }
}

const refused = async (call: Promise<unknown>, code: number, text: RegExp) => {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  expect(error).toMatchObject({ code, message: expect.stringMatching(text) })
}

const set = (name: string, settingKey: string, value: boolean | string) =>
  ask(method.updateConfig, {
    name,
    settingKey,
    settingValue: {
      value: typeof value === "string" ? { case: "stringValue", value } : { case: "boolValue", value },
    },
  })

describe("a proposal", () => {
  it("is what it was given, with the policy before and after it, and is one when it comes twice", async () => {
    const { submit, read, name, id } = await sandbox("proposing")
    const first = await submit(proposal("web"), { ruleName: "empty" }, proposal("_provider_x"))
    expect(first).toMatchObject({ acceptedChunks: 1, rejectedChunks: 2 })
    expect(first.rejectionReasons).toEqual([
      "empty: rule 'empty' needs an endpoint",
      "_provider_x: rule name '_provider_x' is reserved",
    ])
    expect((await submit(proposal("web"))).acceptedChunkIds).toEqual(first.acceptedChunkIds)
    const { chunks, draftVersion, lastAnalyzedAtMs, rollingSummary } = await read()
    expect(chunks).toHaveLength(1)
    expect(chunks[0]).toMatchObject({ status: "pending", ruleName: "web", hitCount: 2, confidence: 0.5 })
    expect(chunks[0]?.currentEffectivePolicy?.networkPolicies).toEqual({})
    expect(Object.keys(chunks[0]?.candidateEffectivePolicy?.networkPolicies ?? {})).toEqual(["web"])
    expect([draftVersion, rollingSummary]).toEqual([2n, "1 pending, 0 approved, 0 rejected"])
    expect(lastAnalyzedAtMs).toBeGreaterThan(0n)
    // The sandbox reads its own, and nobody else's.
    expect((await ask(method.getDraftPolicy, { name }, id)).chunks).toHaveLength(1)
  })

  it("becomes a version of the policy by its approval, and none by a stale one", async () => {
    const { submit, read, rules, name, version } = await sandbox("approving")
    await submit(proposal("web"), proposal("api"))
    const [web, api] = (await read()).chunks
    const approval = { name, chunkId: web?.id ?? "", reviewToken: web?.reviewToken ?? "" }
    await refused(
      ask(method.approveDraftChunk, { ...approval, reviewToken: "other" }),
      Status.FAILED_PRECONDITION,
      /review_token is stale/,
    )
    expect(await ask(method.approveDraftChunk, approval)).toMatchObject({ policyVersion: 2 })
    expect(await rules()).toEqual(["web"])
    // The policy is another than the one beside which the second was read.
    await refused(
      ask(method.approveDraftChunk, { name, chunkId: api?.id ?? "", reviewToken: api?.reviewToken ?? "" }),
      Status.FAILED_PRECONDITION,
      /review_token is stale/,
    )
    await refused(ask(method.approveDraftChunk, approval), Status.FAILED_PRECONDITION, /chunk is approved/)
    expect((await read("approved")).chunks).toHaveLength(1)
    expect(await ask(method.undoDraftChunk, { name, chunkId: web?.id ?? "" })).toMatchObject({
      policyVersion: 3,
    })
    expect(await rules()).toEqual([])
    expect((await read("pending")).chunks).toHaveLength(2)
    expect(await version()).toBe(3)
  })

  it("may be edited, rejected and cleared while it is pending, and its history stays", async () => {
    const { submit, read, name } = await sandbox("deciding")
    const { acceptedChunkIds } = await submit(proposal("a"), proposal("b"), proposal("c"))
    const [a = "", b = ""] = acceptedChunkIds
    const before = (await read()).chunks[0]?.reviewToken
    await ask(method.editDraftChunk, {
      name,
      chunkId: a,
      proposedRule: { endpoints: [{ host: "other.example", port: 1 }] },
    })
    const edited = (await read()).chunks[0]
    expect(edited?.proposedRule?.endpoints[0]?.host).toBe("other.example")
    expect(edited?.reviewToken).not.toBe(before)
    await ask(method.rejectDraftChunk, { name, chunkId: b, reason: "no need" })
    expect((await read("rejected")).chunks[0]).toMatchObject({ id: b, rejectionReason: "no need" })
    await refused(ask(method.rejectDraftChunk, { name, chunkId: b }), Status.FAILED_PRECONDITION, /rejected/)
    await refused(ask(method.undoDraftChunk, { name, chunkId: a }), Status.FAILED_PRECONDITION, /pending/)
    expect((await ask(method.clearDraftChunks, { name })).chunksCleared).toBe(2)
    expect((await read()).chunks.map(({ status }) => status)).toEqual(["rejected"])
    const { entries } = await ask(method.getDraftHistory, { name })
    expect(entries.map(({ eventType }) => eventType)).toEqual([
      "submitted",
      "submitted",
      "submitted",
      "edited",
      "rejected",
      "cleared",
      "cleared",
    ])
  })
})

describe("approving all", () => {
  it("makes one version of all that have no security notes, and of those when asked to", async () => {
    const { submit, rules, name, version } = await sandbox("all")
    await refused(
      ask(method.approveAllDraftChunks, { name }),
      Status.FAILED_PRECONDITION,
      /^no pending chunks/,
    )
    await submit(proposal("a"), proposal("b"), proposal("c", "hm"))
    expect(await ask(method.approveAllDraftChunks, { name })).toMatchObject({
      policyVersion: 2,
      chunksApproved: 2,
      chunksSkipped: 1,
    })
    expect(await rules()).toEqual(["a", "b"])
    expect(await ask(method.approveAllDraftChunks, { name, includeSecurityFlagged: true })).toMatchObject({
      policyVersion: 3,
      chunksApproved: 1,
      chunksSkipped: 0,
    })
    expect(await version()).toBe(3)
  })

  it("takes only those that are named, as they were read", async () => {
    const { submit, read, rules, name } = await sandbox("named")
    await submit(proposal("a"), proposal("b"), proposal("c"))
    const [a, , c] = (await read()).chunks
    const approvals = [a, c].map((chunk) => ({
      chunkId: chunk?.id ?? "",
      reviewToken: chunk?.reviewToken ?? "",
    }))
    await ask(method.approveAllDraftChunks, { name, approvals })
    expect(await rules()).toEqual(["a", "c"])
    await refused(
      ask(method.approveAllDraftChunks, { name, approvals: [{ chunkId: "gone" }] }),
      Status.NOT_FOUND,
      /^chunk not found$/,
    )
  })
})

describe("a watch", () => {
  it("tells of new proposals and of decisions, and not of what was there before", async () => {
    const { id, name, submit, read } = await sandbox("watched")
    await submit(proposal("before"))
    const watch = openTyped(await cluster.connection("replica-1"), method.watchSandbox)
    onTestFinished(() => watch.cancel())
    await watch.send({ id, followEvents: true })
    expect((await watch.receive())?.payload.case).toBe("sandbox")
    const update = async () => {
      const event = await watch.receive()
      return event?.payload.case === "draftPolicyUpdate" ? event.payload.value : event?.payload.case
    }
    await submit(proposal("one"), proposal("two"))
    expect(await update()).toMatchObject({
      newChunks: 2,
      totalPending: 3,
      draftVersion: (await read()).draftVersion,
      summary: "2 proposed rules more; 3 proposed rules to decide on",
    })
    await ask(method.rejectDraftChunk, { name, chunkId: (await read()).chunks[0]?.id ?? "" })
    expect(await update()).toMatchObject({ newChunks: 0, totalPending: 2 })
  })
})

describe("settings of proposals", () => {
  it("keep those of an agent out until they are on", async () => {
    const { name, id, read } = await sandbox("agents")
    const submit = () =>
      ask(
        method.submitPolicyAnalysis,
        { name, proposedChunks: [proposal("web")], analysisMode: "agent_authored" },
        id,
      )
    expect((await submit()).rejectionReasons).toEqual(["web: agent policy proposals are disabled"])
    await set(name, "agent_policy_proposals_enabled", true)
    expect((await submit()).acceptedChunks).toBe(1)
    expect((await read()).chunks).toHaveLength(1)
  })

  it("approve them without a reviewer, except those with security notes", async () => {
    const { name, submit, rules, read } = await sandbox("auto")
    await set(name, "proposal_approval_mode", "auto")
    await submit(proposal("a"), proposal("b", "hm"))
    expect(await rules()).toEqual(["a"])
    expect((await read()).chunks.map(({ status }) => status)).toEqual(["approved", "pending"])
  })
})
