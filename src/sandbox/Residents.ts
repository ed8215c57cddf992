/**
 * Which sandboxes have a live actor on this replica. A session may be attached without waking an actor, but never
 * beside one: an actor that starts waits for the attach to end, and then reads what it wrote.
 */
import { Context, Deferred, Effect, FiberId, Layer, type Scope } from "effect"

const make = Effect.sync(() => {
  const live = new Map<string, number>()
  const reserved = new Map<string, Deferred.Deferred<void>>()

  const enter = (sandboxId: string): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => live.set(sandboxId, (live.get(sandboxId) ?? 0) + 1)),
      () =>
        Effect.sync(() => {
          const left = (live.get(sandboxId) ?? 1) - 1
          if (left === 0) live.delete(sandboxId)
          else live.set(sandboxId, left)
        }),
    ).pipe(
      Effect.zipRight(
        Effect.suspend(() => {
          const attach = reserved.get(sandboxId)
          return attach === undefined ? Effect.void : Deferred.await(attach)
        }),
      ),
    )

  return {
    /** For an actor, as long as it lives: completes when nobody else acts for its sandbox. */
    enter,
    /**
     * Keeps actors of those sandboxes from starting while `f` runs, which is told for which of them that is so: the
     * others have an actor, or are reserved by somebody else.
     */
    without: <A, E, R>(
      sandboxIds: ReadonlyArray<string>,
      f: (free: ReadonlySet<string>) => Effect.Effect<A, E, R>,
    ): Effect.Effect<A, E, R> =>
      Effect.acquireUseRelease(
        // In one step: whoever looks and reserves later might find that another has come between.
        Effect.sync(() => {
          const over = Deferred.unsafeMake<void>(FiberId.none)
          const free = new Set(sandboxIds.filter((id) => !live.has(id) && !reserved.has(id)))
          for (const id of free) reserved.set(id, over)
          return { over, free }
        }),
        ({ free }) => f(free),
        ({ over, free }) =>
          Effect.suspend(() => {
            for (const id of free) reserved.delete(id)
            return Deferred.succeed(over, undefined)
          }),
      ),
  } as const
})

export class Residents extends Context.Tag("holdfast/Residents")<
  Residents,
  Effect.Effect.Success<typeof make>
>() {
  static layer = Layer.effect(Residents, make)
}
