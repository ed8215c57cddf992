/** Effect Cluster as Holdfast runs it: own storage, own transport, settings that fail over in a fraction of a second. */
import * as MessageStorage from "@effect/cluster/MessageStorage"
import * as RunnerAddress from "@effect/cluster/RunnerAddress"
import * as RunnerHealth from "@effect/cluster/RunnerHealth"
import * as RunnerServer from "@effect/cluster/RunnerServer"
import type * as RunnerStorage from "@effect/cluster/RunnerStorage"
import type * as Runners from "@effect/cluster/Runners"
import type * as Sharding from "@effect/cluster/Sharding"
import * as ShardingConfig from "@effect/cluster/ShardingConfig"
import * as SocketServer from "@effect/platform/SocketServer"
import * as RpcSerialization from "@effect/rpc/RpcSerialization"
import * as RpcServer from "@effect/rpc/RpcServer"
import { Duration, Effect, Layer, Option } from "effect"
import { limits } from "../domain/Limits.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import * as PeerDialer from "./PeerDialer.ts"
import { PeerListener } from "./PeerListener.ts"
import { peerProtocols } from "./PeerTls.ts"

const shardingConfig = Layer.unwrapEffect(
  Effect.map(ClusterConfig, (config) =>
    ShardingConfig.layer({
      runnerAddress: Option.some(RunnerAddress.make(config.peerAdvertise.host, config.peerAdvertise.port)),
      shardsPerGroup: limits.shards,
      shardLockRefreshInterval: Duration.millis(limits.shardLockRefreshMs),
      shardLockExpiration: Duration.millis(limits.shardLockExpirationMs),
      refreshAssignmentsInterval: Duration.millis(limits.refreshAssignmentsMs),
      sendRetryInterval: Duration.millis(limits.sendRetryMs),
      entityMaxIdleTime: Duration.millis(limits.entityIdleMs),
      entityTerminationTimeout: Duration.millis(limits.entityTerminationMs),
      entityMailboxCapacity: limits.entityMailbox,
      entityMessagePollInterval: Duration.seconds(1),
      // Asks between an actor and a caller of the same process are passed as they are.
      simulateRemoteSerialization: false,
    }),
  ),
)

const clusterSocketServer = Layer.effect(
  SocketServer.SocketServer,
  Effect.map(PeerListener, (listener) => listener.rpcServer(peerProtocols.cluster)),
)

/** MessagePack for everything between replicas. */
export const serialization = RpcSerialization.layerMsgPack

/**
 * Sharding of this replica. Entities and singletons register with the `Sharding` that it provides.
 * Needs a RunnerStorage (Postgres or the local one) and the peer listener and dialer.
 */
export const layer: Layer.Layer<
  Sharding.Sharding | Runners.Runners,
  never,
  ClusterConfig | RunnerStorage.RunnerStorage | PeerListener | PeerDialer.PeerDialer
> = RunnerServer.layerWithClients.pipe(
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide(clusterSocketServer),
  Layer.provide(PeerDialer.layerRunnersProtocol),
  Layer.provide(RunnerHealth.layerNoop),
  // layerNoop would leak 51 bytes for each ask, for ever.
  Layer.provide(MessageStorage.layerMemory),
  Layer.provide(shardingConfig),
  Layer.provide(serialization),
)
