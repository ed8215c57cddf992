/** What an edge needs of a replica, as far as a test of one process needs it. */
import { Effect, Layer, Redacted } from "effect"
import { ClusterConfig } from "../../src/cluster/ClusterConfig.ts"
import { Membership } from "../../src/cluster/Membership.ts"
import { Ownership } from "../../src/cluster/Ownership.ts"
import { Unavailable } from "../../src/domain/Errors.ts"
import { PeerLegs } from "../../src/edge/PeerLegs.ts"
import { Rendezvous } from "../../src/edge/Rendezvous.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import { SandboxActors } from "../../src/sandbox/SandboxActors.ts"

const address = { host: "127.0.0.1", port: 1 }
const rendezvous = new Rendezvous()

/** Replica `one/1`, which owns shard 1; every sandbox is in shard 7. */
export const edgeServices = Layer.mergeAll(
  ClusterConfig.layer({
    clusterId: "test",
    name: "one",
    incarnation: "one/1",
    version: "0",
    databaseUrl: Redacted.make(""),
    peerListen: address,
    peerAdvertise: address,
    url: "",
    peerTls: { ca: "", cert: "", key: "" },
    leaseMs: 2,
    fenceMs: 1,
  }),
  Metrics.layer,
  Membership.layer,
  Layer.succeed(Ownership, {
    fence: (shard) => Effect.succeed({ shard, epoch: 1 }),
    held: Effect.succeed(new Map([[1, 1]])),
    proofAgeMs: () => 0,
  }),
  Layer.succeed(SandboxActors, {
    ask: () => Effect.fail(new Unavailable({ message: "no actors here" })),
    shardOf: () => 7,
  }),
  Layer.succeed(PeerLegs, {
    rendezvous,
    dial: () => ({ leg: new Promise(() => {}), cancel: () => {} }),
  }),
)
