import { Context, Effect, Layer } from "effect"
import { Membership } from "../cluster/Membership.ts"

/**
 * Which incarnation owned a shard when this replica last heard of it: a hint. Whoever acts on it learns from the
 * owner's epoch whether it still holds.
 */
export class OwnerHints extends Context.Tag("holdfast/OwnerHints")<
  OwnerHints,
  {
    /** A live member; undefined when nobody knows, or when it has left and the shard has a new owner. */
    readonly ownerOf: (shard: number) => string | undefined
    readonly learn: (owners: ReadonlyMap<number, string>) => void
  }
>() {
  static layer = Layer.effect(
    OwnerHints,
    Effect.map(Membership, ({ find }) => {
      let known: ReadonlyMap<number, string> = new Map()
      return {
        ownerOf: (shard) => {
          const owner = known.get(shard)
          return owner === undefined ? undefined : find(owner)?.incarnation
        },
        // A replica that was too busy to answer still owns what it owned.
        learn: (owners) => {
          known = new Map([...known, ...owners])
        },
      }
    }),
  )
}
