/** Who is in the cluster, as this replica last saw it. */
import { Context, Deferred, Effect, Layer, SubscriptionRef } from "effect"
import type { HostPort } from "./ClusterConfig.ts"

export interface Member extends HostPort {
  readonly name: string
  readonly incarnation: string
  readonly machineId: number
  readonly url: string
  readonly version: string
  readonly startedAtMs: number
  readonly live: boolean
  /** It hands over what it holds, or is not built yet: no new shards, sessions or callers should go there. */
  readonly draining: boolean
}

/**
 * The members by incarnation. Written by the RunnerStorage in use, read by everyone who must find a replica.
 * `changes` emits the current list first and then every list that differs.
 */
export class Membership extends Context.Tag("holdfast/Membership")<
  Membership,
  {
    readonly members: Effect.Effect<ReadonlyArray<Member>>
    readonly ref: SubscriptionRef.SubscriptionRef<ReadonlyArray<Member>>
    /** The live member of that incarnation, if there is one. */
    readonly find: (incarnation: string) => Member | undefined
    /** Completes once that member is seen to have left; at once for one that is not a live member. */
    readonly left: (incarnation: string) => Effect.Effect<void>
    /** What this replica says of itself. The RunnerStorage in use tells the others and gives the shards to them. */
    readonly withdraw: (draining: boolean) => Effect.Effect<void>
    readonly withdrawn: () => boolean
    readonly update: (members: ReadonlyArray<Member>) => Effect.Effect<void>
  }
>() {
  static layer = Layer.effect(
    Membership,
    Effect.gen(function* () {
      const ref = yield* SubscriptionRef.make<ReadonlyArray<Member>>([])
      let known = ""
      let draining = false
      const live = new Map<string, { readonly member: Member; readonly left: Deferred.Deferred<void> }>()
      const fiberId = yield* Effect.fiberId
      return {
        ref,
        members: SubscriptionRef.get(ref),
        find: (incarnation) => live.get(incarnation)?.member,
        left: (incarnation) => {
          const entry = live.get(incarnation)
          return entry === undefined ? Effect.void : Deferred.await(entry.left)
        },
        withdraw: (wanted) =>
          Effect.sync(() => {
            draining = wanted
          }),
        withdrawn: () => draining,
        update: (members) =>
          Effect.suspend(() => {
            const seen = JSON.stringify(members)
            if (seen === known) return Effect.void
            known = seen
            const now = new Map(members.filter((m) => m.live).map((m) => [m.incarnation, m]))
            for (const [incarnation, entry] of live) {
              if (now.has(incarnation)) continue
              live.delete(incarnation)
              Deferred.unsafeDone(entry.left, Effect.void)
            }
            for (const [incarnation, member] of now)
              live.set(incarnation, {
                member,
                left: live.get(incarnation)?.left ?? Deferred.unsafeMake<void>(fiberId),
              })
            return SubscriptionRef.set(ref, members)
          }),
      }
    }),
  )
}
