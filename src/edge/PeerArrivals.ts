import { Context, type Effect } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import type { Arrival, ArrivalAnswer } from "../sandbox/Arrivals.ts"
import type { SessionGone } from "../sandbox/Edges.ts"

/** Asks another replica, by incarnation, to attach sessions of sandboxes that it owns: one answer each, in order. */
export class PeerArrivals extends Context.Tag("holdfast/PeerArrivals")<
  PeerArrivals,
  {
    readonly attach: (
      replica: string,
      arrivals: ReadonlyArray<Arrival>,
    ) => Effect.Effect<ReadonlyArray<ArrivalAnswer>, Unavailable | SessionGone>
  }
>() {}
