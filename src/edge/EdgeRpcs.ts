/** What replicas ask of each other's edges, over the peer port. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import {
  DeadlineExceeded,
  FailedPrecondition,
  LimitReached,
  StaleEpoch,
  Unavailable,
} from "../domain/Errors.ts"
import { Fence } from "../domain/Fence.ts"
import { EdgeOpen, EdgeOpened, SessionGone } from "../sandbox/Edges.ts"

export const SlotSchema = Schema.Struct({
  channelId: Schema.String,
  tokenHash: Schema.String,
  replica: Schema.String,
  stream: Schema.String,
})

export const EdgeStats = Schema.Struct({ sessions: Schema.Number, relays: Schema.Number })
export type EdgeStats = typeof EdgeStats.Type

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
  Rpc.make("Stats", { success: EdgeStats }),
) {}
