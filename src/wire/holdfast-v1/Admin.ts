/** `holdfast.v1.Admin`: the cluster as an operator sees it. */
import type {
  ClusterStatus,
  DrainRequest,
  DrainState,
  PlaceQuery,
  ReplicaStatus,
  SandboxPlace,
} from "../../domain/Cluster.ts"
import { called, nothing, same, served } from "../grpc/Protobuf.ts"
import {
  Admin,
  type DrainReplicaResponse,
  type GetClusterStatusResponse,
  type LocateSandboxResponse,
  type Replica,
} from "./Generated.ts"

export type AdminMethod = keyof typeof Admin.method

const { method } = Admin

const replicaOf = (replica: Replica): ReplicaStatus => ({
  ...replica,
  startedAtMs: Number(replica.startedAtMs),
})

const statusOf = ({ clusterId, answeredBy, skew, replicas }: GetClusterStatusResponse): ClusterStatus => ({
  clusterId,
  answeredBy,
  skew,
  replicas: replicas.map(replicaOf),
})

const placeOf = (response: LocateSandboxResponse): SandboxPlace => ({
  ...response,
  epoch: Number(response.epoch),
  attachedAtMs: Number(response.attachedAtMs),
})

const drainStateOf = ({ draining, remaining }: DrainReplicaResponse): DrainState => ({ draining, remaining })

export const admin = {
  clusterStatus: served(method.getClusterStatus, nothing, (status: ClusterStatus) => ({
    ...status,
    replicas: status.replicas.map((replica) => ({ ...replica, startedAtMs: BigInt(replica.startedAtMs) })),
  })),
  locateSandbox: served(method.locateSandbox, same<PlaceQuery>, (place: SandboxPlace) => ({
    ...place,
    epoch: BigInt(place.epoch),
    attachedAtMs: BigInt(place.attachedAtMs),
  })),
  drainReplica: served(method.drainReplica, same<DrainRequest>, same<DrainState>),
}

export const adminCalls = {
  clusterStatus: called(method.getClusterStatus, (_: undefined) => ({}), statusOf),
  locateSandbox: called(method.locateSandbox, same<PlaceQuery>, placeOf),
  drainReplica: called(method.drainReplica, same<DrainRequest>, drainStateOf),
}
