/** Members as rows of `cluster_runners`. */
import type { Member } from "./Membership.ts"

export interface MemberRow {
  readonly machine_id: number
  readonly name: string
  readonly incarnation: string
  readonly address: string
  readonly url: string
  readonly version: string
  readonly started_at_ms: string
  readonly metadata: string
  readonly alive: boolean
  readonly postmaster_age_ms: string
}

/** What a member says of itself in its row; other keys are for later releases. */
export const metadataOf = (draining: boolean) => JSON.stringify({ draining })

const isDraining = (metadata: string): boolean => {
  try {
    const said: unknown = JSON.parse(metadata)
    return typeof said === "object" && said !== null && "draining" in said && said.draining === true
  } catch {
    return false
  }
}

/** Every member's row with whether its liveness lock ($1: the class of these locks) is granted. */
export const memberRows = `SELECT r.machine_id, r.name, r.incarnation, r.address, r.url, r.version, r.started_at_ms, r.metadata,
              l.objid IS NOT NULL AS alive,
              floor(extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS postmaster_age_ms
       FROM cluster_runners r
       LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
         AND l.classid = $1::int::oid AND l.objid = r.machine_id::oid
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       WHERE r.incarnation <> ''
       ORDER BY r.machine_id`

const hostPort = (address: string) => {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

/** `assumedLive`: its lock is not back yet after a restart of the database. */
export const memberOf = (row: MemberRow, assumedLive: boolean): Member => ({
  ...hostPort(row.address),
  name: row.name,
  incarnation: row.incarnation,
  machineId: row.machine_id,
  url: row.url,
  version: row.version,
  startedAtMs: Number(row.started_at_ms),
  live: row.alive || assumedLive,
  draining: isDraining(row.metadata),
})
