/** What this replica says of itself when another asks: counts of its edge, with what steering and drain add. */
import { Effect } from "effect"
import { Membership } from "../cluster/Membership.ts"
import { Ownership } from "../cluster/Ownership.ts"
import type { EdgeStats } from "./EdgeRpcs.ts"

export const makeReport = Effect.gen(function* () {
  const ownership = yield* Ownership
  const membership = yield* Membership
  /** Set by whoever knows: the edge lies below them. */
  const report = {
    settling: false,
    heading: (): Record<string, number> => ({}),
    remaining: () => 0,
    /** Where to go instead, while this replica is cut off from all others; undefined while it is not. */
    refuge: (): string | undefined => undefined,
  }
  const stats = (count: () => { readonly sessions: number; readonly relays: number }) =>
    Effect.map(
      ownership.held,
      (held): EdgeStats => ({
        ...count(),
        shards: [...held.keys()],
        draining: membership.withdrawn(),
        settling: report.settling,
        heading: report.heading(),
        remaining: membership.withdrawn() ? report.remaining() : 0,
      }),
    )
  return { report, stats } as const
})
