import { Context, type Effect } from "effect"
import type { FailedPrecondition, Unavailable } from "../domain/Errors.ts"
import type { DrainOrder, DrainState } from "./EdgeRpcs.ts"

/** Orders to another replica, by incarnation. */
export class PeerDrains extends Context.Tag("holdfast/PeerDrains")<
  PeerDrains,
  {
    readonly order: (
      replica: string,
      order: DrainOrder,
    ) => Effect.Effect<DrainState, FailedPrecondition | Unavailable>
  }
>() {}
