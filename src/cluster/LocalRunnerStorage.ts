/**
 * RunnerStorage for the single replica on SQLite: it owns every shard, because a second process on the same
 * file is refused at start. Epochs still grow with each start, so that messages of a former process are refused.
 */
import * as MachineId from "@effect/cluster/MachineId"
import * as RunnerStorage from "@effect/cluster/RunnerStorage"
import * as SqlClient from "@effect/sql/SqlClient"
import { Clock, Context, Effect, Layer } from "effect"
import { Internal } from "../domain/Errors.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import { Membership } from "./Membership.ts"
import { makeFenceCheck, Ownership } from "./Ownership.ts"

const machineId = MachineId.make(1)

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const sql = yield* SqlClient.SqlClient
  const startedAtMs = yield* Clock.currentTimeMillis
  const epochs = new Map<number, number>()

  yield* membership.update([
    {
      ...config.peerAdvertise,
      name: config.name,
      incarnation: config.incarnation,
      machineId: 1,
      url: config.url,
      version: config.version,
      startedAtMs,
      live: true,
      draining: false,
    },
  ])
  const memory = yield* RunnerStorage.makeMemory

  const storage = RunnerStorage.RunnerStorage.of({
    ...memory,
    // Nobody else can take a shard.
    refresh: (_, shards) => Effect.succeed(Array.from(shards)),
    register: (runner, healthy) => Effect.as(memory.register(runner, healthy), machineId),
    acquire: (_, shards) =>
      Effect.gen(function* () {
        const wanted = Array.from(shards)
        const missing = wanted.filter((shard) => !epochs.has(shard.id))
        if (missing.length > 0) {
          const rows = yield* sql<{ readonly shard_id: number; readonly epoch: number }>`
            INSERT INTO cluster_shards ${sql.insert(
              missing.map((shard) => ({
                shard_id: shard.id,
                epoch: 1,
                owner: config.incarnation,
                acquired_at_ms: startedAtMs,
              })),
            )}
            ON CONFLICT (shard_id) DO UPDATE SET epoch = cluster_shards.epoch + 1,
              owner = excluded.owner, acquired_at_ms = excluded.acquired_at_ms
            RETURNING shard_id, epoch`
          for (const row of rows) epochs.set(Number(row.shard_id), Number(row.epoch))
        }
        return wanted
      }).pipe(Effect.orDie),
  })
  const ownership = Ownership.of({
    fence: makeFenceCheck(epochs, () => false),
    held: Effect.sync(() => new Map(epochs)),
    proofAgeMs: () => 0,
  })
  return Context.make(RunnerStorage.RunnerStorage, storage).pipe(Context.add(Ownership, ownership))
}).pipe(Effect.mapError(() => new Internal({ message: "the cluster tables cannot be read" })))

export const layer: Layer.Layer<
  RunnerStorage.RunnerStorage | Ownership,
  Internal,
  ClusterConfig | Membership | SqlClient.SqlClient
> = Layer.effectContext(make)
