/** Proposals for policies (contract 2.7). */
import type {
  AnalysisOutcome,
  ApproveAll,
  ApprovedAll,
  ChunkApproval,
  ChunkEdit,
  ChunkRef,
  ChunkRejection,
  ChunkStatus,
  DraftEvent,
  DraftPolicy,
  DraftQuery,
  PolicyAnalysis,
  PolicyChanged,
  ProposedChunk,
  ReviewedChunk,
  SandboxRef,
} from "../../domain/DraftPolicy.ts"
import { called, empty, nothing, same, served } from "../grpc/Protobuf.ts"
import { type DraftHistoryEntry, OpenShell, type PolicyChunk } from "./Generated.ts"
import { countOf, policyOf, policyToWire, ruleOf, ruleToWire } from "./PolicyMessages.ts"

const { method } = OpenShell

const proposedOf = (chunk: PolicyChunk): ProposedChunk => ({
  ruleName: chunk.ruleName,
  proposedRule: chunk.proposedRule === undefined ? undefined : ruleOf(chunk.proposedRule),
  rationale: chunk.rationale,
  securityNotes: chunk.securityNotes,
  confidence: chunk.confidence,
  denialSummaryIds: chunk.denialSummaryIds,
  stage: chunk.stage,
  supersedesChunkId: chunk.supersedesChunkId,
  hitCount: chunk.hitCount,
  firstSeenMs: countOf(chunk.firstSeenMs),
  lastSeenMs: countOf(chunk.lastSeenMs),
  binary: chunk.binary,
  validationResult: chunk.validationResult,
})

const chunkToWire = (chunk: ReviewedChunk) => ({
  id: chunk.id,
  status: chunk.status,
  ruleName: chunk.ruleName,
  proposedRule: ruleToWire(chunk.proposedRule),
  rationale: chunk.rationale,
  securityNotes: chunk.securityNotes,
  confidence: chunk.confidence,
  denialSummaryIds: [...chunk.denialSummaryIds],
  createdAtMs: BigInt(chunk.createdAtMs),
  decidedAtMs: BigInt(chunk.decidedAtMs),
  stage: chunk.stage,
  supersedesChunkId: chunk.supersedesChunkId,
  hitCount: chunk.hitCount,
  firstSeenMs: BigInt(chunk.firstSeenMs),
  lastSeenMs: BigInt(chunk.lastSeenMs),
  binary: chunk.binary,
  validationResult: chunk.validationResult,
  rejectionReason: chunk.rejectionReason,
  applicationError: chunk.applicationError,
  reviewToken: chunk.reviewToken,
  currentEffectivePolicyHash: chunk.currentPolicyHash,
  candidateEffectivePolicyHash: chunk.candidatePolicyHash,
  ...(chunk.currentPolicy === undefined ? {} : { currentEffectivePolicy: policyToWire(chunk.currentPolicy) }),
  ...(chunk.candidatePolicy === undefined
    ? {}
    : { candidateEffectivePolicy: policyToWire(chunk.candidatePolicy) }),
})

const statusOf = (status: string): ChunkStatus =>
  status === "approved" || status === "rejected" ? status : "pending"

const chunkOf = (chunk: PolicyChunk): ReviewedChunk => ({
  ...proposedOf(chunk),
  id: chunk.id,
  status: statusOf(chunk.status),
  proposedRule: chunk.proposedRule === undefined ? {} : ruleOf(chunk.proposedRule),
  createdAtMs: Number(chunk.createdAtMs),
  decidedAtMs: Number(chunk.decidedAtMs),
  rejectionReason: chunk.rejectionReason,
  applicationError: chunk.applicationError,
  reviewToken: chunk.reviewToken,
  currentPolicyHash: chunk.currentEffectivePolicyHash,
  candidatePolicyHash: chunk.candidateEffectivePolicyHash,
  currentPolicy:
    chunk.currentEffectivePolicy === undefined ? undefined : policyOf(chunk.currentEffectivePolicy),
  candidatePolicy:
    chunk.candidateEffectivePolicy === undefined ? undefined : policyOf(chunk.candidateEffectivePolicy),
})

const changedToWire = ({ version, hash }: PolicyChanged) => ({ policyVersion: version, policyHash: hash })

const changedOf = (changed: {
  readonly policyVersion: number
  readonly policyHash: string
}): PolicyChanged => ({ version: changed.policyVersion, hash: changed.policyHash })

const eventOf = ({ timestampMs, eventType, description, chunkId }: DraftHistoryEntry): DraftEvent => ({
  timestampMs: Number(timestampMs),
  eventType,
  description,
  chunkId,
})

export const drafts = {
  submit: served(
    method.submitPolicyAnalysis,
    (request): PolicyAnalysis => ({
      name: request.name,
      workspace: request.workspace,
      mode: request.analysisMode,
      chunks: request.proposedChunks.map(proposedOf),
      denials: request.summaries.length,
    }),
    ({ acceptedIds, rejectionReasons }: AnalysisOutcome) => ({
      acceptedChunks: acceptedIds.length,
      rejectedChunks: rejectionReasons.length,
      rejectionReasons: [...rejectionReasons],
      acceptedChunkIds: [...acceptedIds],
    }),
  ),
  get: served(
    method.getDraftPolicy,
    ({ name, workspace, statusFilter }): DraftQuery => ({ name, workspace, status: statusFilter }),
    ({ chunks, summary, draftVersion, lastAnalyzedAtMs }: DraftPolicy) => ({
      chunks: chunks.map(chunkToWire),
      rollingSummary: summary,
      draftVersion: BigInt(draftVersion),
      lastAnalyzedAtMs: BigInt(lastAnalyzedAtMs),
    }),
  ),
  approve: served(method.approveDraftChunk, same<ChunkApproval>, changedToWire),
  reject: served(method.rejectDraftChunk, same<ChunkRejection>, empty),
  approveAll: served(
    method.approveAllDraftChunks,
    same<ApproveAll>,
    ({ approved, skipped, ...changed }: ApprovedAll) => ({
      ...changedToWire(changed),
      chunksApproved: approved,
      chunksSkipped: skipped,
    }),
  ),
  edit: served(
    method.editDraftChunk,
    ({ name, workspace, chunkId, proposedRule }): ChunkEdit => ({
      name,
      workspace,
      chunkId,
      rule: proposedRule === undefined ? undefined : ruleOf(proposedRule),
    }),
    empty,
  ),
  undo: served(method.undoDraftChunk, same<ChunkRef>, changedToWire),
  clear: served(method.clearDraftChunks, same<SandboxRef>, (chunksCleared: number) => ({ chunksCleared })),
  history: served(method.getDraftHistory, same<SandboxRef>, (entries: ReadonlyArray<DraftEvent>) => ({
    entries: entries.map((entry) => ({ ...entry, timestampMs: BigInt(entry.timestampMs) })),
  })),
}

export const draftCalls = {
  get: called(
    method.getDraftPolicy,
    ({ name, workspace, status }: DraftQuery) => ({ name, workspace, statusFilter: status }),
    (draft): DraftPolicy => ({
      chunks: draft.chunks.map(chunkOf),
      summary: draft.rollingSummary,
      draftVersion: Number(draft.draftVersion),
      lastAnalyzedAtMs: Number(draft.lastAnalyzedAtMs),
    }),
  ),
  approve: called(method.approveDraftChunk, same<ChunkApproval>, changedOf),
  reject: called(method.rejectDraftChunk, same<ChunkRejection>, nothing),
  approveAll: called(
    method.approveAllDraftChunks,
    ({ approvals, ...request }: ApproveAll) => ({ ...request, approvals: [...approvals] }),
    ({ chunksApproved, chunksSkipped, ...changed }): ApprovedAll => ({
      ...changedOf(changed),
      approved: chunksApproved,
      skipped: chunksSkipped,
    }),
  ),
  edit: called(
    method.editDraftChunk,
    ({ rule, ...chunk }: ChunkEdit) => ({
      ...chunk,
      ...(rule === undefined ? {} : { proposedRule: ruleToWire(rule) }),
    }),
    nothing,
  ),
  undo: called(method.undoDraftChunk, same<ChunkRef>, changedOf),
  clear: called(method.clearDraftChunks, same<SandboxRef>, ({ chunksCleared }) => chunksCleared),
  history: called(method.getDraftHistory, same<SandboxRef>, ({ entries }) => entries.map(eventOf)),
}
