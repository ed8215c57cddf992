/** Rules that somebody proposes for a sandbox's policy, and what became of them. */
import { Schema } from "effect"
import { NetworkRule, type SandboxPolicy } from "./Policy.ts"

export const ChunkStatus = Schema.Literal("pending", "approved", "rejected")
export type ChunkStatus = typeof ChunkStatus.Type

/** A proposed rule as it is stored. */
export const DraftChunk = Schema.Struct({
  id: Schema.String,
  status: ChunkStatus,
  ruleName: Schema.String,
  proposedRule: NetworkRule,
  rationale: Schema.String,
  /** Not empty: approving all leaves it out unless told otherwise. */
  securityNotes: Schema.String,
  confidence: Schema.Number,
  denialSummaryIds: Schema.Array(Schema.String),
  createdAtMs: Schema.Number,
  /** 0: not decided. */
  decidedAtMs: Schema.Number,
  stage: Schema.String,
  supersedesChunkId: Schema.String,
  hitCount: Schema.Number,
  firstSeenMs: Schema.Number,
  lastSeenMs: Schema.Number,
  binary: Schema.String,
  validationResult: Schema.String,
  rejectionReason: Schema.String,
  applicationError: Schema.String,
  /** The rule of that name before the chunk was approved, for undo. */
  before: Schema.optional(NetworkRule),
})
export type DraftChunk = typeof DraftChunk.Type

/** A chunk as a reviewer sees it. */
export interface ReviewedChunk extends DraftChunk {
  /** Names what was reviewed: the rule and the policy that it would change. Approval wants it back. */
  readonly reviewToken: string
  readonly currentPolicyHash: string
  readonly candidatePolicyHash: string
  readonly currentPolicy: SandboxPolicy | undefined
  readonly candidatePolicy: SandboxPolicy | undefined
}

export type ProposedChunk = Pick<
  DraftChunk,
  | "ruleName"
  | "rationale"
  | "securityNotes"
  | "confidence"
  | "denialSummaryIds"
  | "stage"
  | "supersedesChunkId"
  | "hitCount"
  | "firstSeenMs"
  | "lastSeenMs"
  | "binary"
  | "validationResult"
> & { readonly proposedRule: NetworkRule | undefined }

export interface PolicyAnalysis {
  readonly name: string
  readonly workspace: string
  readonly mode: string
  readonly chunks: ReadonlyArray<ProposedChunk>
  /** Denied connections that the analysis is about. */
  readonly denials: number
}

export interface AnalysisOutcome {
  readonly acceptedIds: ReadonlyArray<string>
  readonly rejectionReasons: ReadonlyArray<string>
}

export interface SandboxRef {
  readonly name: string
  readonly workspace: string
}

export interface DraftQuery extends SandboxRef {
  /** Empty: all. */
  readonly status: string
}

export interface DraftPolicy {
  readonly chunks: ReadonlyArray<ReviewedChunk>
  readonly summary: string
  readonly draftVersion: number
  /** 0: never. */
  readonly lastAnalyzedAtMs: number
}

export interface ChunkRef extends SandboxRef {
  readonly chunkId: string
}

export interface ChunkApproval extends ChunkRef {
  readonly reviewToken: string
}

export interface ChunkRejection extends ChunkRef {
  readonly reason: string
}

export interface ChunkEdit extends ChunkRef {
  readonly rule: NetworkRule | undefined
}

export interface ApproveAll extends SandboxRef {
  readonly includeSecurityFlagged: boolean
  /** Empty: every pending chunk as it now is. */
  readonly approvals: ReadonlyArray<{ readonly chunkId: string; readonly reviewToken: string }>
}

export interface PolicyChanged {
  readonly version: number
  readonly hash: string
}

export interface ApprovedAll extends PolicyChanged {
  readonly approved: number
  readonly skipped: number
}

export const DraftEvent = Schema.Struct({
  timestampMs: Schema.Number,
  eventType: Schema.String,
  description: Schema.String,
  chunkId: Schema.String,
})
export type DraftEvent = typeof DraftEvent.Type
