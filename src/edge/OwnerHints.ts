import { Context, Layer } from "effect"

/**
 * Which incarnation owned a shard when this replica last heard of it: a hint. Whoever acts on it learns from the
 * owner's epoch whether it still holds.
 */
export class OwnerHints extends Context.Tag("holdfast/OwnerHints")<
  OwnerHints,
  {
    readonly ownerOf: (shard: number) => string | undefined
    readonly learn: (owners: ReadonlyMap<number, string>) => void
  }
>() {
  static layer = Layer.sync(OwnerHints, () => {
    let known: ReadonlyMap<number, string> = new Map()
    return {
      ownerOf: (shard) => known.get(shard),
      // A replica that was too busy to answer still owns what it owned.
      learn: (owners) => {
        known = new Map([...known, ...owners])
      },
    }
  })
}
