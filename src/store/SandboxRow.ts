/** A sandbox as a row. Integers arrive as numbers and JSON as text, whatever the dialect. */
import { Effect, Schema } from "effect"
import { type Sandbox, SandboxSpec, SandboxStatus } from "../domain/Sandbox.ts"

const Labels = Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String }))
const Spec = Schema.parseJson(SandboxSpec)
const Status = Schema.parseJson(SandboxStatus)

const Row = Schema.Struct({
  id: Schema.String,
  workspace: Schema.String,
  name: Schema.String,
  created_at_ms: Schema.Number,
  deletion_timestamp_ms: Schema.Number,
  labels: Labels,
  annotations: Labels,
  resource_version: Schema.Number,
  spec: Spec,
  status: Status,
})

const toSandbox = (row: typeof Row.Type): Sandbox => ({
  id: row.id,
  workspace: row.workspace,
  name: row.name,
  createdAtMs: row.created_at_ms,
  deletionTimestampMs: row.deletion_timestamp_ms,
  labels: row.labels,
  annotations: row.annotations,
  resourceVersion: row.resource_version,
  spec: row.spec,
  status: row.status,
})

const toRow = (sandbox: Sandbox): typeof Row.Type => ({
  id: sandbox.id,
  workspace: sandbox.workspace,
  name: sandbox.name,
  created_at_ms: sandbox.createdAtMs,
  deletion_timestamp_ms: sandbox.deletionTimestampMs,
  labels: sandbox.labels,
  annotations: sandbox.annotations,
  resource_version: sandbox.resourceVersion,
  spec: sandbox.spec,
  status: sandbox.status,
})

const decode = Schema.decodeUnknown(Schema.Array(Row))

/** Rows of the sandboxes table as sandboxes. */
export const decodeRows = (rows: unknown) => Effect.map(decode(rows), (found) => found.map(toSandbox))

/** The columns to write. `phase` repeats `status.phase` where SQL can see it. */
export const encodeRow = (sandbox: Sandbox) => ({
  ...Schema.encodeSync(Row)(toRow(sandbox)),
  phase: sandbox.status.phase,
})
