/** Lists that a gateway gives page by page. */
import { Effect } from "effect"
import { limits } from "../domain/Limits.ts"
import type { ClientError } from "./GatewayClient.ts"

/** Follows pages until the limit or the end. */
export const pages = <A>(
  page: (offset: number, limit: number) => Effect.Effect<ReadonlyArray<A>, ClientError>,
  most = Number.POSITIVE_INFINITY,
): Effect.Effect<ReadonlyArray<A>, ClientError> =>
  Effect.gen(function* () {
    const found: Array<A> = []
    while (found.length < most) {
      const limit = Math.min(limits.listMax, most - found.length)
      const next = yield* page(found.length, limit)
      found.push(...next)
      if (next.length < limit) break
    }
    return found
  })
