import { Duration, Effect, Exit, Fiber, Scope } from "effect"

/**
 * A scope that is closed with the one it is made in, but not waited for longer than that: connections to peers that
 * are gone may take their time, and a process that ends has none.
 */
export const boundedScope = (timeoutMs: number): Effect.Effect<Scope.Scope, never, Scope.Scope> =>
  Effect.acquireRelease(Scope.make(), (scope) =>
    Effect.forkDaemon(Scope.close(scope, Exit.void)).pipe(
      Effect.flatMap(Fiber.await),
      Effect.timeoutOption(Duration.millis(timeoutMs)),
      Effect.interruptible,
    ),
  )
