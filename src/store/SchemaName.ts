/** Names that keep the clusters of one database apart. */
import { createHash } from "node:crypto"

/** The Postgres schema of a cluster's tables, and the channel of its notifications. At most 63 bytes. */
export const schemaName = (clusterId: string): string =>
  `holdfast_${clusterId.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`

/** The advisory lock (one 64-bit number) under which a cluster's tables are migrated. */
export const migrationLock = (clusterId: string): bigint =>
  createHash("sha256").update(`holdfast:${clusterId}:migrate`).digest().readBigInt64BE(0)
