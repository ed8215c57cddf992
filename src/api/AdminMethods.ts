/** `holdfast.v1.Admin`: where everything is. */
import { Effect } from "effect"
import { ClusterConfig } from "../cluster/ClusterConfig.ts"
import { Membership } from "../cluster/Membership.ts"
import type { ClusterStatus, DrainRequest, PlaceQuery, SandboxPlace } from "../domain/Cluster.ts"
import { NotFound } from "../domain/Errors.ts"
import { skewOf } from "../edge/Balance.ts"
import { Drain } from "../edge/Drain.ts"
import type { EdgeStats } from "../edge/EdgeRpcs.ts"
import { EdgeStatistics } from "../edge/EdgeStatistics.ts"
import { PeerDrains } from "../edge/PeerDrains.ts"
import { SandboxActors } from "../sandbox/SandboxActors.ts"
import { ShardOwners } from "../store/ShardOwners.ts"
import { adminAccess as access } from "./Access.ts"
import { sandboxById, sandboxByName } from "./Lookup.ts"
import { unary } from "./Operation.ts"

/** Of a replica that does not answer. */
const nothing: Pick<EdgeStats, "sessions" | "relays" | "draining" | "remaining"> = {
  sessions: 0,
  relays: 0,
  draining: false,
  remaining: 0,
}

const nameOf = (incarnation: string): string => incarnation.slice(0, incarnation.lastIndexOf("/"))

const getClusterStatus = unary(access.getClusterStatus, () =>
  Effect.gen(function* () {
    const config = yield* ClusterConfig
    const membership = yield* Membership
    const statistics = yield* EdgeStatistics
    const owners = yield* ShardOwners
    const shards = yield* owners.countByOwner
    const replicas = yield* Effect.forEach(
      yield* membership.members,
      (member) =>
        Effect.gen(function* () {
          const stats = member.live
            ? yield* statistics.of(member.incarnation).pipe(Effect.catchAll(() => Effect.succeed(nothing)))
            : nothing
          return {
            name: member.name,
            address: `${member.host}:${member.port}`,
            url: member.url,
            live: member.live,
            shards: member.live ? (shards.get(member.incarnation) ?? 0) : 0,
            sessions: stats.sessions,
            relays: stats.relays,
            startedAtMs: member.startedAtMs,
            self: member.incarnation === config.incarnation,
            version: member.version,
            draining: member.live && (member.draining || stats.draining),
            drainRemaining: stats.remaining,
          }
        }),
      { concurrency: "unbounded" },
    )
    const skew = skewOf(replicas.filter(({ live }) => live))
    return { clusterId: config.clusterId, answeredBy: config.name, replicas, skew } satisfies ClusterStatus
  }),
)

const drainReplica = unary(access.drainReplica, (request: DrainRequest) =>
  Effect.gen(function* () {
    const config = yield* ClusterConfig
    const membership = yield* Membership
    const members = yield* membership.members
    const member = members.find(({ name, live }) => live && name === request.name)
    if (member === undefined)
      return yield* new NotFound({ message: `no live replica is called '${request.name}'` })
    const order = { deadlineMs: request.deadlineMs, cancel: request.cancel }
    if (member.incarnation === config.incarnation)
      return yield* Effect.flatMap(Drain, (drain) => drain.order(order))
    return yield* Effect.flatMap(PeerDrains, (drains) => drains.order(member.incarnation, order))
  }),
)

const locateSandbox = unary(access.locateSandbox, (request: PlaceQuery, caller) =>
  Effect.gen(function* () {
    const config = yield* ClusterConfig
    const sandbox =
      request.sandboxId === ""
        ? yield* sandboxByName(caller, request.name, request.workspace)
        : yield* sandboxById(caller, request.sandboxId)
    const actors = yield* SandboxActors
    const { shard, epoch, owner, presence } = yield* actors.ask(sandbox.id, (actor) => actor.Locate())
    return {
      sandboxId: sandbox.id,
      shard,
      epoch,
      owner,
      answeredBy: config.name,
      ...(presence === undefined || presence.lostAtMs !== undefined
        ? { sessionHolder: "", sessionId: "", attachedAtMs: 0 }
        : {
            sessionHolder: nameOf(presence.replica),
            sessionId: presence.sessionId,
            attachedAtMs: presence.attachedAtMs,
          }),
    } satisfies SandboxPlace
  }),
)

export const adminOperations = { clusterStatus: getClusterStatus, locateSandbox, drainReplica }
