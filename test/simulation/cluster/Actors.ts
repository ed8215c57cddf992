/**
 * The actors that live on one replica, and the way to those of others: what the cluster's sharding does. The
 * actors themselves are the real ones, behind the real entity server.
 */
import { Entity, ShardingConfig } from "@effect/cluster"
import { type Context, Deferred, Duration, Effect, Exit, type Layer, Scope } from "effect"
import { limits } from "../../../src/domain/Limits.ts"
import * as SandboxActor from "../../../src/sandbox/SandboxActor.ts"
import type { ActorClient, Attempt } from "../../../src/sandbox/SandboxActors.ts"
import { SandboxEntity } from "../../../src/sandbox/SandboxEntity.ts"
import type { Process } from "../kernel/Process.ts"

export type ActorNeeds =
  Layer.Layer.Context<typeof SandboxActor.layer> extends infer R
    ? Exclude<R, import("@effect/cluster").Sharding.Sharding>
    : never

interface Live {
  readonly shard: number
  readonly scope: Scope.CloseableScope
  readonly client: Deferred.Deferred<ActorClient>
  asks: number
}

export interface ActorsOptions {
  readonly process: Process
  readonly shards: number
  readonly serves: (shard: number) => boolean
  readonly shardOf: (sandboxId: string) => number
  readonly needs: () => Context.Context<ActorNeeds>
  /** What a planted mistake makes of an actor's client. */
  readonly wrap: (client: ActorClient, sandboxId: string) => ActorClient
}

/** Not here, or not any more: the sender looks again. */
const elsewhere = Effect.die(new Error("the actor is not here"))

export class Actors {
  readonly #options: ActorsOptions
  readonly #live = new Map<string, Live>()

  constructor(options: ActorsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#live.size
  }

  /** An ask that arrived here. */
  readonly receive: Attempt = (sandboxId, f) =>
    Effect.suspend(() => {
      if (!this.#options.serves(this.#options.shardOf(sandboxId))) return elsewhere
      const live = this.#live.get(sandboxId) ?? this.#activate(sandboxId)
      live.asks += 1
      return Deferred.await(live.client).pipe(
        Effect.flatMap(f),
        Effect.ensuring(
          Effect.sync(() => {
            live.asks -= 1
          }),
        ),
      )
    })

  /** An idle actor sleeps; its next ask wakes a new one. */
  hibernate(sandboxId: string): void {
    const live = this.#live.get(sandboxId)
    if (live === undefined || live.asks > 0) return
    this.#options.process.say(`actor of ${sandboxId} hibernates`)
    this.#live.delete(sandboxId)
    this.#options.process.fork(Scope.close(live.scope, Exit.void))
  }

  /** Ends the actors of those shards; asks under way are interrupted, as the cluster does. */
  stop(shards: ReadonlySet<number>, then: () => void): void {
    const ending = [...this.#live].filter(([, live]) => shards.has(live.shard))
    if (ending.length === 0) {
      then()
      return
    }
    for (const [sandboxId] of ending) this.#live.delete(sandboxId)
    this.#options.process.fork(
      Effect.forEach(ending, ([, live]) => Scope.close(live.scope, Exit.void), { discard: true }).pipe(
        Effect.timeout(Duration.millis(limits.entityTerminationMs)),
        Effect.ignore,
        Effect.zipRight(Effect.sync(then)),
      ),
    )
  }

  #activate(sandboxId: string): Live {
    const { process, needs, shards, wrap, shardOf } = this.#options
    const scope = Effect.runSync(Scope.make())
    const client = Effect.runSync(Deferred.make<ActorClient>())
    const live = { shard: shardOf(sandboxId), scope, client, asks: 0 }
    this.#live.set(sandboxId, live)
    process.fork(
      Entity.makeTestClient(SandboxEntity, SandboxActor.layer).pipe(
        Effect.flatMap((make) => make(sandboxId)),
        Effect.provide(ShardingConfig.layer({ shardsPerGroup: shards })),
        Effect.provide(needs()),
        Scope.extend(scope),
        Effect.flatMap((made) => Deferred.succeed(client, wrap(made, sandboxId))),
      ),
    )
    return live
  }
}
