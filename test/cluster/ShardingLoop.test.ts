import * as MachineId from "@effect/cluster/MachineId"
import * as MessageStorage from "@effect/cluster/MessageStorage"
import * as Runner from "@effect/cluster/Runner"
import * as RunnerAddress from "@effect/cluster/RunnerAddress"
import * as RunnerHealth from "@effect/cluster/RunnerHealth"
import * as RunnerStorage from "@effect/cluster/RunnerStorage"
import * as Runners from "@effect/cluster/Runners"
import * as ShardId from "@effect/cluster/ShardId"
import * as Sharding from "@effect/cluster/Sharding"
import * as ShardingConfig from "@effect/cluster/ShardingConfig"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"

const address = RunnerAddress.make("127.0.0.1", 1)
const shards = Array.from({ length: 30 }, (_, index) => ShardId.make("default", index + 1))

/** Gives away a third at a time, as when the former owners have released no more yet. */
const slowStorage = Layer.succeed(
  RunnerStorage.RunnerStorage,
  RunnerStorage.RunnerStorage.of({
    register: () => Effect.succeed(MachineId.make(1)),
    unregister: () => Effect.void,
    getRunners: Effect.succeed([[Runner.make({ address, groups: ["default"], weight: 1 }), true]]),
    setRunnerHealth: () => Effect.void,
    acquire: (_, wanted) => Effect.succeed([...wanted].slice(0, 10)),
    refresh: (_, held) => Effect.succeed([...held]),
    release: () => Effect.void,
    releaseAll: () => Effect.void,
  }),
)

const layer = Sharding.layer.pipe(
  Layer.provide(slowStorage),
  Layer.provide(Runners.layerNoop),
  Layer.provide(RunnerHealth.layerNoop),
  Layer.provideMerge(MessageStorage.layerMemory),
  Layer.provide(ShardingConfig.layer({ runnerAddress: Option.some(address), shardsPerGroup: shards.length })),
)

// The clock of this test stands still, so whatever the loop sleeps never ends.
it.effect("takes further shards without a pause after it has taken some", () =>
  Effect.gen(function* () {
    const sharding = yield* Sharding.Sharding
    const missing = () => shards.filter((shard) => !sharding.hasShardId(shard)).length
    for (let turn = 0; turn < 10_000 && missing() > 0; turn++) yield* Effect.yieldNow()
    expect(missing()).toBe(0)
  }).pipe(Effect.provide(layer)),
)
