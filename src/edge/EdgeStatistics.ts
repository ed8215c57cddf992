import { Context, type Effect } from "effect"
import type { Unavailable } from "../domain/Errors.ts"
import type { EdgeStats } from "./EdgeRpcs.ts"

/** What each replica holds, by incarnation: asked of the replica itself. */
export class EdgeStatistics extends Context.Tag("holdfast/EdgeStatistics")<
  EdgeStatistics,
  { readonly of: (replica: string) => Effect.Effect<EdgeStats, Unavailable> }
>() {}
