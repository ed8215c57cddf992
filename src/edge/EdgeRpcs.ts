/** What replicas ask of each other's edges, over the peer port. */
import * as Rpc from "@effect/rpc/Rpc"
import * as RpcGroup from "@effect/rpc/RpcGroup"
import { Schema } from "effect"
import {
  DeadlineExceeded,
  FailedPrecondition,
  LimitReached,
  StaleEpoch,
  Unavailable,
} from "../domain/Errors.ts"
import { Fence } from "../domain/Fence.ts"
import { Arrival, ArrivalAnswer } from "../sandbox/Arrivals.ts"
import { EdgeOpen, EdgeOpened, SessionGone } from "../sandbox/Edges.ts"

export const SlotSchema = Schema.Struct({
  channelId: Schema.String,
  tokenHash: Schema.String,
  replica: Schema.String,
  stream: Schema.String,
})

const flag = Schema.optionalWith(Schema.Boolean, { default: () => false })

/** What replicas tell each other every second; a replica of an earlier release leaves out what it does not know. */
export const EdgeStats = Schema.Struct({
  sessions: Schema.Number,
  relays: Schema.Number,
  /** Shards that it owns. */
  shards: Schema.optionalWith(Schema.Array(Schema.Number), { default: () => [] }),
  draining: flag,
  /** It gives sessions away because it has too many. */
  settling: flag,
  /** Sessions on their way, by the incarnation they were sent to. */
  heading: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.Number }), {
    default: () => ({}),
  }),
  /** What a drain waits for: sessions, relays and connections with running calls. */
  remaining: Schema.optionalWith(Schema.Number, { default: () => 0 }),
})
export type EdgeStats = typeof EdgeStats.Type

export const DrainOrder = Schema.Struct({
  /** From now on; 0 for the replica's own setting. */
  deadlineMs: Schema.Number,
  cancel: Schema.Boolean,
})
export type DrainOrder = typeof DrainOrder.Type

export const DrainState = Schema.Struct({ draining: Schema.Boolean, remaining: Schema.Number })
export type DrainState = typeof DrainState.Type

export class EdgeRpcs extends RpcGroup.make(
  Rpc.make("Open", {
    payload: EdgeOpen,
    success: EdgeOpened,
    error: Schema.Union(
      SessionGone,
      StaleEpoch,
      Unavailable,
      DeadlineExceeded,
      LimitReached,
      FailedPrecondition,
    ),
  }),
  Rpc.make("EndSession", {
    payload: { sandboxId: Schema.String, sessionId: Schema.String, fence: Fence },
    error: StaleEpoch,
  }),
  Rpc.make("Slots", {
    payload: { sandboxId: Schema.String, fence: Fence },
    success: Schema.Array(SlotSchema),
    error: StaleEpoch,
  }),
  Rpc.make("Cut", {
    payload: { sandboxId: Schema.String, tokenHash: Schema.optional(Schema.String), fence: Fence },
    error: StaleEpoch,
  }),
  /** Sessions that came in here, of sandboxes that the other replica owns. */
  Rpc.make("Attach", {
    payload: { arrivals: Schema.Array(Arrival) },
    success: Schema.Array(ArrivalAnswer),
    error: Unavailable,
  }),
  Rpc.make("Stats", { success: EdgeStats }),
  Rpc.make("Drain", { payload: DrainOrder, success: DrainState, error: FailedPrecondition }),
) {}
