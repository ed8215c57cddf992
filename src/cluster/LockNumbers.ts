/** Names that keep two clusters apart in one database. */
import { createHash } from "node:crypto"

/** Advisory locks have a 32-bit class: 30 bits of a hash of the cluster id, so that it is a positive int4. */
const lockClass = (clusterId: string, use: string): number =>
  createHash("sha256").update(`holdfast:${clusterId}:${use}`).digest().readUInt32BE(0) >>> 2

export const lockClasses = (clusterId: string) => ({
  live: lockClass(clusterId, "live"),
  shard: lockClass(clusterId, "shard"),
})
