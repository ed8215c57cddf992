/** Proposals against the policy that they would change: pure. */
import type { DraftChunk, ProposedChunk, ReviewedChunk } from "../domain/DraftPolicy.ts"
import { limits } from "../domain/Limits.ts"
import {
  type NetworkRule,
  type ProviderRules,
  providerRulePrefix,
  type SandboxPolicy,
} from "../domain/Policy.ts"
import { canonical, hashOf, policyHash, same } from "./Canonical.ts"
import { composePolicy } from "./Compose.ts"
import { contentRefusal } from "./Content.ts"
import { replaceRule, withRules } from "./Merge.ts"
import { mergeRules, ruleNamed, subtractRule } from "./Rules.ts"

const emptyPolicy: SandboxPolicy = { version: 1 }

const rulesOf = (policy: SandboxPolicy | undefined) => policy?.networkPolicies ?? {}

/** The policy after the proposal, and the rule that was there before. */
export const applied = (
  policy: SandboxPolicy | undefined,
  { ruleName, proposedRule }: Pick<DraftChunk, "ruleName" | "proposedRule">,
): { readonly policy: SandboxPolicy; readonly before: NetworkRule | undefined } => {
  const base = policy ?? emptyPolicy
  const before = ruleNamed(base.networkPolicies, ruleName)
  const rule = before === undefined ? proposedRule : mergeRules(before, proposedRule)
  return { policy: withRules(base, { ...rulesOf(base), [ruleName]: rule }), before }
}

/** The policy without what the approved proposal brought. */
export const undone = (policy: SandboxPolicy, chunk: DraftChunk): SandboxPolicy => {
  const rule = ruleNamed(policy.networkPolicies, chunk.ruleName)
  if (rule === undefined) return policy
  return withRules(
    policy,
    replaceRule(rulesOf(policy), chunk.ruleName, subtractRule(rule, chunk.proposedRule, chunk.before)),
  )
}

/** Why a rule cannot be proposed; undefined when it can. */
export const proposalRefusal = (ruleName: string, rule: NetworkRule | undefined): string | undefined => {
  if (ruleName === "") return "rule_name is required"
  if (ruleName.startsWith(providerRulePrefix)) return `rule name '${ruleName}' is reserved`
  if (rule === undefined || (rule.endpoints ?? []).length === 0) return `rule '${ruleName}' needs an endpoint`
  if (Buffer.byteLength(canonical(rule)) > limits.draftRuleBytes)
    return `rule '${ruleName}' exceeds ${limits.draftRuleBytes} bytes`
  return contentRefusal({ version: 1, networkPolicies: { [ruleName]: rule } })
}

/** Names what a reviewer saw: the proposal, and the policy in force beside it. */
const tokenOf = ({ id, ruleName, proposedRule }: DraftChunk, currentHash: string): string =>
  hashOf([id, ruleName, proposedRule, currentHash])

const hashOrEmpty = (policy: SandboxPolicy | undefined): string =>
  policy === undefined ? "" : policyHash(policy)

/** What reviews are made against. */
export interface InForce {
  /** The sandbox's own, without what providers add. */
  readonly policy: SandboxPolicy | undefined
  readonly providerRules: ProviderRules
}

export const reviewTokenOf = (chunk: DraftChunk, { policy, providerRules }: InForce): string =>
  tokenOf(chunk, hashOrEmpty(composePolicy(policy, providerRules)))

/** Chunks as a reviewer sees them. The policies stand beside pending ones, as far as they fit into an answer. */
export const reviewed = (
  chunks: ReadonlyArray<DraftChunk>,
  { policy, providerRules }: InForce,
): ReadonlyArray<ReviewedChunk> => {
  const current = composePolicy(policy, providerRules)
  const currentHash = hashOrEmpty(current)
  let leftBytes = limits.draftReviewBytes
  return chunks.map((chunk) => {
    const candidate =
      chunk.status === "pending" ? composePolicy(applied(policy, chunk).policy, providerRules) : undefined
    const bytes = candidate === undefined ? 0 : 2 * Buffer.byteLength(canonical(candidate))
    leftBytes -= bytes
    const isShown = candidate !== undefined && leftBytes >= 0
    return {
      ...chunk,
      reviewToken: chunk.status === "pending" ? tokenOf(chunk, currentHash) : "",
      currentPolicyHash: currentHash,
      candidatePolicyHash: hashOrEmpty(candidate),
      currentPolicy: isShown ? current : undefined,
      candidatePolicy: isShown ? candidate : undefined,
    }
  })
}

export const cut = (text: string): string => text.slice(0, limits.draftTextLength)

export const newChunk = (
  id: string,
  proposed: ProposedChunk & { readonly proposedRule: NetworkRule },
  nowMs: number,
): DraftChunk => ({
  id,
  status: "pending",
  ruleName: proposed.ruleName,
  proposedRule: proposed.proposedRule,
  rationale: cut(proposed.rationale),
  securityNotes: cut(proposed.securityNotes),
  confidence: Number.isFinite(proposed.confidence) ? proposed.confidence : 0,
  denialSummaryIds: proposed.denialSummaryIds
    .slice(0, limits.draftDenials)
    .map((id) => id.slice(0, limits.policyRuleName)),
  createdAtMs: nowMs,
  decidedAtMs: 0,
  stage: cut(proposed.stage),
  supersedesChunkId: cut(proposed.supersedesChunkId),
  hitCount: Math.max(1, proposed.hitCount),
  firstSeenMs: proposed.firstSeenMs === 0 ? nowMs : proposed.firstSeenMs,
  lastSeenMs: proposed.lastSeenMs === 0 ? nowMs : proposed.lastSeenMs,
  binary: cut(proposed.binary),
  validationResult: cut(proposed.validationResult),
  rejectionReason: "",
  applicationError: "",
})

/** The pending chunk that proposes the same already. */
export const sameProposal = (
  chunks: Iterable<DraftChunk>,
  { ruleName, proposedRule, binary }: Pick<DraftChunk, "ruleName" | "proposedRule" | "binary">,
): DraftChunk | undefined => {
  for (const chunk of chunks)
    if (
      chunk.status === "pending" &&
      chunk.ruleName === ruleName &&
      chunk.binary === binary &&
      same(chunk.proposedRule, proposedRule)
    )
      return chunk
  return undefined
}

/** The largest count that the wire carries. */
const maxCount = 2_147_483_647

export const seenAgain = (chunk: DraftChunk, again: DraftChunk): DraftChunk => ({
  ...chunk,
  hitCount: Math.min(maxCount, chunk.hitCount + again.hitCount),
  firstSeenMs: Math.min(chunk.firstSeenMs, again.firstSeenMs),
  lastSeenMs: Math.max(chunk.lastSeenMs, again.lastSeenMs),
})
