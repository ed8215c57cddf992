/** How the rest of the gateway speaks to Sandbox actors, wherever they live. Every ask has a deadline. */
import * as EntityId from "@effect/cluster/EntityId"
import * as Sharding from "@effect/cluster/Sharding"
import { Cause, Context, Effect, Exit, Layer, Option } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Ownership } from "../cluster/Ownership.ts"
import { databaseAwayText, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { monotonicMs } from "../domain/Monotonic.ts"
import { SandboxEntity } from "./SandboxEntity.ts"

/** The client of one actor. */
export type ActorClient = ReturnType<Effect.Effect.Success<typeof SandboxEntity.client>>

export class SandboxActors extends Context.Tag("holdfast/SandboxActors")<
  SandboxActors,
  {
    /**
     * Asks the actor of a sandbox. An ask that meets a moving shard is sent again until the deadline, so every
     * request must be idempotent.
     */
    readonly ask: <A, E>(
      sandboxId: string,
      f: (actor: ActorClient) => Effect.Effect<A, E>,
      timeoutMs?: number,
    ) => Effect.Effect<A, Exclude<E, { readonly _tag: TransportTag }> | Unavailable>
    readonly shardOf: (sandboxId: string) => number
  }
>() {}

const transportTags = ["MailboxFull", "AlreadyProcessingMessage", "PersistenceError", "StaleEpoch"] as const
type TransportTag = (typeof transportTags)[number]

const isTransport = (error: unknown): error is { readonly _tag: TransportTag } =>
  typeof error === "object" &&
  error !== null &&
  "_tag" in error &&
  transportTags.some((tag) => tag === error._tag)

/** The owner did not answer in time. */
export const moving = new Unavailable({ message: "the sandbox is moving between replicas; try again" })
const databaseAway = new Unavailable({ message: databaseAwayText })

/** One attempt to ask an actor, wherever it lives. */
export type Attempt = <A, E>(
  sandboxId: string,
  f: (actor: ActorClient) => Effect.Effect<A, E>,
) => Effect.Effect<A, E>

/**
 * Asks made of attempts. `isFenced`: this replica can prove no ownership, because the database is away or out of
 * its reach; then the owners cannot either, or cannot be told from here, and callers learn it within a second.
 */
export const over = (
  attempt: Attempt,
  shardOf: (sandboxId: string) => number,
  isFenced: () => boolean,
): Context.Tag.Service<SandboxActors> =>
  SandboxActors.of({
    shardOf,
    ask: <A, E>(
      sandboxId: string,
      f: (actor: ActorClient) => Effect.Effect<A, E>,
      timeoutMs: number = limits.askTimeoutMs,
    ) =>
      Effect.gen(function* () {
        type Own = Exclude<E, { readonly _tag: TransportTag }>
        const deadline = (yield* monotonicMs) + timeoutMs
        while (true) {
          // disconnect: giving up must not wait for a peer that does not answer.
          const exit = yield* Effect.exit(Effect.disconnect(attempt(sandboxId, f)))
          if (Exit.isSuccess(exit)) return exit.value
          const failure = Cause.failureOption(exit.cause)
          if (Option.isSome(failure) && !isTransport(failure.value))
            return yield* Effect.fail(failure.value as Own)
          // An owner that stops interrupts its requests; one whose socket broke answers with a defect. Both moved.
          if ((yield* monotonicMs) + limits.sendRetryMs >= deadline) {
            yield* Effect.logWarning("Ask failed", exit.cause)
            return yield* moving
          }
          if (Option.isNone(failure) && Cause.isDie(exit.cause))
            yield* Effect.logDebug("Ask met a defect", exit.cause)
          yield* Effect.sleep(limits.sendRetryMs)
        }
      }).pipe(Effect.raceFirst(giveUp(timeoutMs, isFenced))),
  })

/** Fails at the deadline, or soon after this replica is fenced. */
const giveUp = (timeoutMs: number, isFenced: () => boolean): Effect.Effect<never, Unavailable> =>
  Effect.gen(function* () {
    const deadline = (yield* monotonicMs) + timeoutMs
    while (true) {
      if (isFenced()) return yield* databaseAway
      const leftMs = deadline - (yield* monotonicMs)
      if (leftMs <= 0) return yield* moving
      yield* Effect.sleep(Math.min(leftMs, limits.fenceLookMs))
    }
  })

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const ownership = yield* Ownership
  const sharding = yield* Sharding.Sharding
  const client = yield* SandboxEntity.client
  return over(
    (sandboxId, f) => f(client(sandboxId)),
    (sandboxId) => sharding.getShardId(EntityId.make(sandboxId), "default").id,
    () => ownership.proofAgeMs() > config.fenceMs,
  )
})

export const layer: Layer.Layer<SandboxActors, never, Sharding.Sharding | ClusterConfig | Ownership> =
  Layer.effect(SandboxActors, make)
