/** The protocol of the Sandbox actor: one sharded entity per sandbox, id = sandbox id. */
import * as Entity from "@effect/cluster/Entity"
import * as Rpc from "@effect/rpc/Rpc"
import { Schema } from "effect"
import { PublicError } from "../domain/Errors.ts"
import { Presence, RelayTarget, Sandbox, StreamCarrier } from "../domain/Sandbox.ts"
import { EdgeOpened, Rendezvous } from "./Edges.ts"

/** What an edge says of a supervisor that said hello. */
export const AttachRequest = Schema.Struct({
  sessionId: Schema.String,
  instanceId: Schema.String,
  instanceStartedAtMs: Schema.Number,
  connectionEpoch: Schema.Number,
  replica: Schema.String,
})
export type AttachRequest = typeof AttachRequest.Type

export const AttachReply = Schema.Union(
  Schema.TaggedStruct("Accepted", {
    epoch: Schema.Number,
    shard: Schema.Number,
    /** It took the place of a living session of the same supervisor: it was sent here. */
    moved: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  }),
  Schema.TaggedStruct("Rejected", { reason: Schema.String }),
)
export type AttachReply = typeof AttachReply.Type

export const OpenRequest = Schema.Struct({
  channelId: Schema.String,
  target: RelayTarget,
  serviceId: Schema.String,
  /** SHA-256 of the SSH session token; empty for relays that need none (exec). */
  tokenHash: Schema.String,
  /** Present when the caller can resume. */
  stream: Schema.optional(StreamCarrier),
  rendezvous: Rendezvous,
  /** How long to wait for a session before refusing. */
  waitMs: Schema.Number,
})
export type OpenRequest = typeof OpenRequest.Type

export const Location = Schema.Struct({
  shard: Schema.Number,
  epoch: Schema.Number,
  owner: Schema.String,
  presence: Schema.optional(Presence),
})
export type Location = typeof Location.Type

export const SandboxEntity = Entity.make("Sandbox", [
  /** A new row exists: make the sandbox. A failure removes the row again. */
  Rpc.make("Provision", { success: Sandbox, error: PublicError }),
  Rpc.make("Stop", { success: Sandbox, error: PublicError }),
  Rpc.make("Start", { success: Sandbox, error: PublicError }),
  Rpc.make("Delete", { success: Schema.Boolean, error: PublicError }),
  Rpc.make("Attach", { payload: AttachRequest, success: AttachReply, error: PublicError }),
  /** An edge lost that session. */
  Rpc.make("Detach", { payload: { sessionId: Schema.String }, error: PublicError }),
  Rpc.make("OpenRelay", { payload: OpenRequest, success: EdgeOpened, error: PublicError }),
  /** A relay that held a connection slot has ended. */
  Rpc.make("RelayClosed", { payload: { channelId: Schema.String }, error: PublicError }),
  Rpc.make("RevokeToken", { payload: { tokenHash: Schema.String }, error: PublicError }),
  Rpc.make("ReportExit", {
    payload: { instanceId: Schema.String, exitCode: Schema.Number },
    error: PublicError,
  }),
  /** Finish what a former owner left undone and hold what is stored against what is there. */
  Rpc.make("Reconcile", {
    payload: {
      /** How long the replica of its session has been missing, if it is. */
      missingMs: Schema.Number,
    },
    error: PublicError,
  }),
  Rpc.make("Locate", { success: Location, error: PublicError }),
])
