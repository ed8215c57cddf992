/** Decisions about proposals; an approval and the policy that comes of it are one write. */
import { Clock, Effect } from "effect"
import type { ApproveAll, ApprovedAll, DraftChunk, DraftEvent } from "../domain/DraftPolicy.ts"
import { FailedPrecondition, InvalidArgument, NotFound } from "../domain/Errors.ts"
import type { NetworkRule, SandboxPolicy } from "../domain/Policy.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import { Configs, type Heads } from "../store/Configs.ts"
import { Drafts } from "../store/Drafts.ts"
import type { DraftChange } from "../store/DraftWrites.ts"
import { materialised, retrying } from "./OwnHead.ts"
import { ProviderContribution } from "./ProviderContribution.ts"
import { applied, cut, type InForce, proposalRefusal, reviewTokenOf, undone } from "./Review.ts"
import { changePolicy, globalPolicyInForce } from "./Updates.ts"

interface Standing {
  readonly heads: Heads
  readonly inForce: InForce
  readonly chunks: ReadonlyArray<DraftChunk>
  readonly nowMs: number
}

/** What is stored now, and what providers add to it. */
export const standing = (sandbox: Sandbox) =>
  Effect.gen(function* () {
    const drafts = yield* Drafts
    const contribution = yield* ProviderContribution
    const heads = yield* materialised(sandbox)
    const { rules } = yield* contribution.of(sandbox, { ...heads.own.settings, ...heads.global.settings })
    return {
      heads,
      inForce: { policy: heads.own.policy, providerRules: rules },
      chunks: yield* drafts.chunks(sandbox.id),
      nowMs: yield* Clock.currentTimeMillis,
    } satisfies Standing
  })

const chunkOf = (
  { chunks }: Standing,
  chunkId: string,
  status: DraftChunk["status"],
): Effect.Effect<DraftChunk, InvalidArgument | NotFound | FailedPrecondition> => {
  if (chunkId === "") return Effect.fail(new InvalidArgument({ message: "chunk_id is required" }))
  const chunk = chunks.find(({ id }) => id === chunkId)
  if (chunk === undefined) return Effect.fail(new NotFound({ message: "chunk not found" }))
  return chunk.status === status
    ? Effect.succeed(chunk)
    : Effect.fail(
        new FailedPrecondition({
          message: `chunk is ${chunk.status}; only a ${status} chunk can be changed so`,
        }),
      )
}

const unlessGlobal = ({ heads }: Standing) =>
  heads.global.policy === undefined ? Effect.void : Effect.fail(globalPolicyInForce())

/** OpenShell's command line sends no token: it approves the chunk as it is. A token holds for what was shown with it. */
const requireToken = ({ inForce }: Standing, chunk: DraftChunk, token: string) =>
  token === "" || token === reviewTokenOf(chunk, inForce)
    ? Effect.void
    : Effect.fail(
        new FailedPrecondition({
          message: "review_token is stale: the proposal or the policy has changed since it was read",
        }),
      )

const event = (nowMs: number, eventType: string, { id, ruleName }: DraftChunk, more = ""): DraftEvent => ({
  timestampMs: nowMs,
  eventType,
  description: `rule ${ruleName}${more === "" ? "" : `: ${more}`}`,
  chunkId: id,
})

/** Writes drafts that change no policy. */
const note = (sandbox: Sandbox, { heads }: Standing, drafts: DraftChange) =>
  Effect.flatMap(Configs, (configs) =>
    configs.write({
      scope: sandbox.id,
      from: heads.own,
      to: { ...heads.own, draftVersion: heads.own.draftVersion + 1 },
      quiet: true,
      drafts,
    }),
  )

/** Writes a policy together with the drafts that it comes of. */
const settle = (
  sandbox: Sandbox,
  { heads }: Standing,
  policy: SandboxPolicy,
  drafts: DraftChange,
  provenance: Readonly<Record<string, string>>,
) =>
  changePolicy(sandbox, heads, policy, {
    expectedResourceVersion: 0,
    provenance,
    with: { drafts, draftVersion: heads.own.draftVersion + 1 },
  })

const approved = (chunk: DraftChunk, before: NetworkRule | undefined, nowMs: number): DraftChunk => ({
  ...chunk,
  status: "approved",
  decidedAtMs: nowMs,
  applicationError: "",
  before,
})

/** Merges all chunks into the policy, in their order. */
const settleApproved = (sandbox: Sandbox, now: Standing, chunks: ReadonlyArray<DraftChunk>) => {
  const put: Array<DraftChunk> = []
  let policy = now.inForce.policy
  for (const chunk of chunks) {
    const next = applied(policy, chunk)
    put.push(approved(chunk, next.before, now.nowMs))
    policy = next.policy
  }
  const events = chunks.map((chunk) => event(now.nowMs, "approved", chunk))
  const provenance = { source: "draft", chunks: String(chunks.length), chunk: chunks[0]?.id ?? "" }
  return settle(sandbox, now, policy ?? {}, { put, removed: [], events }, provenance)
}

export const approve = (sandbox: Sandbox, chunkId: string, reviewToken: string) =>
  retrying(
    "draft approval",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const chunk = yield* chunkOf(now, chunkId, "pending")
      yield* unlessGlobal(now)
      yield* requireToken(now, chunk, reviewToken)
      return yield* settleApproved(sandbox, now, [chunk])
    }),
  )

/** For sandboxes whose proposals need no reviewer: those without security notes. Failures leave them pending. */
export const approveUnasked = (sandbox: Sandbox, ids: ReadonlyArray<string>) =>
  retrying(
    "draft approval",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const wanted = now.chunks.filter(
        ({ id, status, securityNotes }) => ids.includes(id) && status === "pending" && securityNotes === "",
      )
      if (wanted.length > 0) yield* settleApproved(sandbox, now, wanted)
    }),
  ).pipe(
    Effect.catchAll((error) =>
      Effect.logInfo("Proposals wait for a reviewer").pipe(
        Effect.annotateLogs({ sandbox: sandbox.id, reason: error.message }),
      ),
    ),
  )

export const approveAll = (sandbox: Sandbox, { approvals, includeSecurityFlagged }: ApproveAll) =>
  retrying(
    "draft approval",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const pending = now.chunks.filter(({ status }) => status === "pending")
      if (pending.length === 0)
        return yield* new FailedPrecondition({ message: "no pending chunks to approve" })
      yield* unlessGlobal(now)
      const named: Array<DraftChunk> = []
      for (const { chunkId, reviewToken } of approvals) {
        const chunk = yield* chunkOf(now, chunkId, "pending")
        yield* requireToken(now, chunk, reviewToken)
        if (!named.includes(chunk)) named.push(chunk)
      }
      const asked = approvals.length === 0 ? pending : named
      const chosen = asked.filter(({ securityNotes }) => includeSecurityFlagged || securityNotes === "")
      const skipped = asked.length - chosen.length
      const { own } = now.heads
      if (chosen.length === 0)
        return { version: own.version, hash: own.policyHash, approved: 0, skipped } satisfies ApprovedAll
      const changed = yield* settleApproved(sandbox, now, chosen)
      return { ...changed, approved: chosen.length, skipped } satisfies ApprovedAll
    }),
  )

export const reject = (sandbox: Sandbox, chunkId: string, given: string) =>
  retrying(
    "draft rejection",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const chunk = yield* chunkOf(now, chunkId, "pending")
      const reason = cut(given)
      const rejected: DraftChunk = {
        ...chunk,
        status: "rejected",
        decidedAtMs: now.nowMs,
        rejectionReason: reason,
      }
      const events = [event(now.nowMs, "rejected", chunk, reason)]
      yield* note(sandbox, now, { put: [rejected], removed: [], events })
    }),
  )

export const edit = (sandbox: Sandbox, chunkId: string, rule: NetworkRule | undefined) =>
  retrying(
    "draft edit",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const chunk = yield* chunkOf(now, chunkId, "pending")
      const refusal = proposalRefusal(chunk.ruleName, rule)
      if (rule === undefined || refusal !== undefined)
        return yield* new InvalidArgument({ message: refusal ?? "proposed_rule is required" })
      const events = [event(now.nowMs, "edited", chunk)]
      yield* note(sandbox, now, { put: [{ ...chunk, proposedRule: rule }], removed: [], events })
    }),
  )

/** An approved chunk becomes pending again, and what it brought leaves the policy. */
export const undo = (sandbox: Sandbox, chunkId: string) =>
  retrying(
    "draft undo",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const chunk = yield* chunkOf(now, chunkId, "approved")
      yield* unlessGlobal(now)
      const { before: _, ...rest } = chunk
      const put: ReadonlyArray<DraftChunk> = [{ ...rest, status: "pending", decidedAtMs: 0 }]
      const events = [event(now.nowMs, "undone", chunk)]
      return yield* settle(
        sandbox,
        now,
        undone(now.inForce.policy ?? {}, chunk),
        { put, removed: [], events },
        { source: "draft-undo", chunk: chunkId },
      )
    }),
  )

/** Gives up all pending chunks; how many there were. */
export const clear = (sandbox: Sandbox) =>
  retrying(
    "draft clearing",
    Effect.gen(function* () {
      const now = yield* standing(sandbox)
      const pending = now.chunks.filter(({ status }) => status === "pending")
      if (pending.length === 0) return 0
      yield* note(sandbox, now, {
        put: [],
        removed: pending.map(({ id }) => id),
        events: pending.map((chunk) => event(now.nowMs, "cleared", chunk)),
      })
      return pending.length
    }),
  )
