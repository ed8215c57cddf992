/** Configuration as rows. Integers arrive as numbers and JSON as text, whatever the dialect. */
import { Data, Schema } from "effect"
import { DraftChunk, type DraftEvent } from "../domain/DraftPolicy.ts"
import { type PolicyRevision, type PolicySummary, RevisionStatus, SandboxPolicy } from "../domain/Policy.ts"
import { SettingMap } from "../domain/SandboxConfig.ts"

const Policy = Schema.parseJson(SandboxPolicy)
const Texts = Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String }))

/** The scope of the whole gateway. A sandbox's scope is its id. */
export const globalScope = ""

/** Somebody else changed the scope since it was read: read it again. */
export class HeadMoved extends Data.TaggedError("HeadMoved")<{
  /** Resource version of the sandbox, or revision of the gateway's head, as it is now. */
  readonly current: number
}> {}

/** What is in force in a scope. */
export interface Head {
  /** Grows with every change; 0 where nothing was ever changed. */
  readonly revision: number
  readonly settings: SettingMap
  /** Of the global scope: counts changes of settings, of every scope. */
  readonly settingsRevision: number
  /** Of the latest policy; 0 without one. A removed policy leaves its number. */
  readonly version: number
  readonly policy: SandboxPolicy | undefined
  readonly policyHash: string
  readonly draftVersion: number
  readonly analyzedAtMs: number
}

export const noHead: Head = {
  revision: 0,
  settings: {},
  settingsRevision: 0,
  version: 0,
  policy: undefined,
  policyHash: "",
  draftVersion: 0,
  analyzedAtMs: 0,
}

const HeadRow = Schema.Struct({
  scope: Schema.String,
  revision: Schema.Number,
  settings: Schema.parseJson(SettingMap),
  settings_revision: Schema.Number,
  version: Schema.Number,
  policy: Schema.NullOr(Policy),
  policy_hash: Schema.String,
  draft_version: Schema.Number,
  analyzed_at_ms: Schema.Number,
})

const toHead = (row: typeof HeadRow.Type): Head => ({
  revision: row.revision,
  settings: row.settings,
  settingsRevision: row.settings_revision,
  version: row.version,
  policy: row.policy ?? undefined,
  policyHash: row.policy_hash,
  draftVersion: row.draft_version,
  analyzedAtMs: row.analyzed_at_ms,
})

export const decodeHeads = Schema.decodeUnknown(Schema.Array(HeadRow))

/** By scope. */
export const headsOf = (rows: ReadonlyArray<typeof HeadRow.Type>): ReadonlyMap<string, Head> =>
  new Map(rows.map((row) => [row.scope, toHead(row)]))

export const encodePolicy = Schema.encodeSync(Policy)
const encodeSettings = Schema.encodeSync(Schema.parseJson(SettingMap))
/** What a change of a head sets. */
export const headColumns = (head: Head, nowMs: number) => ({
  revision: head.revision,
  changed_at_ms: nowMs,
  settings: encodeSettings(head.settings),
  version: head.version,
  policy: head.policy === undefined ? null : encodePolicy(head.policy),
  policy_hash: head.policyHash,
  draft_version: head.draftVersion,
  analyzed_at_ms: head.analyzedAtMs,
})

export const encodeTexts = Schema.encodeSync(Texts)

const SummaryRow = Schema.Struct({
  version: Schema.Number,
  hash: Schema.String,
  status: RevisionStatus,
  load_error: Schema.String,
  created_at_ms: Schema.Number,
  loaded_at_ms: Schema.Number,
  provenance: Texts,
})

const RevisionRow = Schema.Struct({ ...SummaryRow.fields, policy: Policy })

export const decodeSummaries = Schema.decodeUnknown(Schema.Array(SummaryRow))
export const decodeRevisions = Schema.decodeUnknown(Schema.Array(RevisionRow))

export const toSummary = (row: typeof SummaryRow.Type): PolicySummary => ({
  version: row.version,
  hash: row.hash,
  status: row.status,
  loadError: row.load_error,
  createdAtMs: row.created_at_ms,
  loadedAtMs: row.loaded_at_ms,
  provenance: row.provenance,
})

export const toRevision = (row: typeof RevisionRow.Type): PolicyRevision => ({
  ...toSummary(row),
  policy: row.policy,
})

export const ChunkJson = Schema.parseJson(DraftChunk)
export const decodeChunks = Schema.decodeUnknown(Schema.Array(Schema.Struct({ chunk: ChunkJson })))
export const encodeChunk = Schema.encodeSync(ChunkJson)

const EventRow = Schema.Struct({
  timestamp_ms: Schema.Number,
  event_type: Schema.String,
  description: Schema.String,
  chunk_id: Schema.String,
})

export const decodeEvents = Schema.decodeUnknown(Schema.Array(EventRow))

export const toEvent = (row: typeof EventRow.Type): DraftEvent => ({
  timestampMs: row.timestamp_ms,
  eventType: row.event_type,
  description: row.description,
  chunkId: row.chunk_id,
})
