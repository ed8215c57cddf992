/** Taking proposals in: checked one by one, joined with equal ones, and the oldest decided ones given up for them. */
import { randomUUID } from "node:crypto"
import { Clock, Effect } from "effect"
import type { AnalysisOutcome, DraftChunk, DraftEvent, PolicyAnalysis } from "../domain/DraftPolicy.ts"
import { limits } from "../domain/Limits.ts"
import type { Sandbox } from "../domain/Sandbox.ts"
import type { SettingMap } from "../domain/SandboxConfig.ts"
import { Configs } from "../store/Configs.ts"
import { Drafts } from "../store/Drafts.ts"
import { approveUnasked } from "./Approval.ts"
import { materialised, retrying } from "./OwnHead.ts"
import { newChunk, proposalRefusal, sameProposal, seenAgain } from "./Review.ts"

const isOn = (settings: SettingMap, key: string): boolean => {
  const setting = settings[key]
  return setting?.type === "bool" && setting.value
}

interface Taken {
  readonly put: ReadonlyMap<string, DraftChunk>
  readonly removed: ReadonlyArray<string>
  readonly events: ReadonlyArray<DraftEvent>
  readonly outcome: AnalysisOutcome
}

/** What becomes of a submission beside these chunks: pure but for the new ids. */
const take = (
  known: ReadonlyArray<DraftChunk>,
  { chunks, mode }: PolicyAnalysis,
  allowed: boolean,
  nowMs: number,
): Taken => {
  const all = new Map(known.map((chunk) => [chunk.id, chunk]))
  const put = new Map<string, DraftChunk>()
  const removed: Array<string> = []
  const events: Array<DraftEvent> = []
  const acceptedIds: Array<string> = []
  const rejectionReasons: Array<string> = []
  const event = (eventType: string, description: string, chunkId: string) =>
    events.push({ timestampMs: nowMs, eventType, description, chunkId })
  const keep = (chunk: DraftChunk) => {
    all.set(chunk.id, chunk)
    put.set(chunk.id, chunk)
  }
  /** False when nothing but pending proposals is there. */
  const makeRoom = (): boolean => {
    if (all.size < limits.draftChunks) return true
    for (const { id, status } of all.values()) {
      if (status === "pending") continue
      all.delete(id)
      put.delete(id)
      removed.push(id)
      return true
    }
    return false
  }
  for (const [index, proposed] of chunks.entries()) {
    const { proposedRule, ruleName } = proposed
    const refusal = !allowed
      ? "agent policy proposals are disabled"
      : index >= limits.draftSubmission
        ? `a submission has at most ${limits.draftSubmission} chunks`
        : proposalRefusal(ruleName, proposedRule)
    if (refusal !== undefined || proposedRule === undefined) {
      rejectionReasons.push(`${ruleName === "" ? `chunk ${index + 1}` : ruleName}: ${refusal ?? "no rule"}`)
      continue
    }
    const fresh = newChunk(randomUUID(), { ...proposed, proposedRule }, nowMs)
    const equal = sameProposal(all.values(), fresh)
    if (equal !== undefined) {
      keep(seenAgain(equal, fresh))
      acceptedIds.push(equal.id)
      continue
    }
    if (!makeRoom()) {
      rejectionReasons.push(`${ruleName}: ${limits.draftChunks} proposals wait for a decision already`)
      continue
    }
    keep(fresh)
    acceptedIds.push(fresh.id)
    event("submitted", `${mode === "" ? "proposed" : mode}: rule ${ruleName}`, fresh.id)
    const former = all.get(fresh.supersedesChunkId)
    if (former?.status === "pending") {
      keep({
        ...former,
        status: "rejected",
        decidedAtMs: nowMs,
        rejectionReason: `superseded by ${fresh.id}`,
      })
      event("superseded", `rule ${former.ruleName} by ${fresh.id}`, former.id)
    }
  }
  return { put, removed, events, outcome: { acceptedIds, rejectionReasons } }
}

export const submit = (sandbox: Sandbox, analysis: PolicyAnalysis) =>
  Effect.gen(function* () {
    const configs = yield* Configs
    const drafts = yield* Drafts
    const attempt = Effect.gen(function* () {
      const { own, global } = yield* materialised(sandbox)
      const settings: SettingMap = { ...own.settings, ...global.settings }
      const allowed = analysis.mode !== "agent_authored" || isOn(settings, "agent_policy_proposals_enabled")
      const nowMs = yield* Clock.currentTimeMillis
      const known = yield* drafts.chunks(sandbox.id)
      const { put, removed, events, outcome } = take(known, analysis, allowed, nowMs)
      yield* configs.write({
        scope: sandbox.id,
        from: own,
        to: {
          ...own,
          analyzedAtMs: nowMs,
          draftVersion: own.draftVersion + (put.size > 0 ? 1 : 0),
        },
        quiet: true,
        drafts: { put: [...put.values()], removed, events },
      })
      return { outcome, settings }
    })
    const { outcome, settings } = yield* retrying("draft submission", attempt)
    const mode = settings.proposal_approval_mode
    if (mode?.type === "string" && mode.value === "auto" && outcome.acceptedIds.length > 0)
      yield* approveUnasked(sandbox, outcome.acceptedIds)
    return outcome
  })
