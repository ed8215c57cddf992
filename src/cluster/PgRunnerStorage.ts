/**
 * RunnerStorage on Postgres advisory locks: a replica is alive while its session holds the liveness lock,
 * and owns a shard while that same session holds the shard's lock. When a process dies its socket closes,
 * all its locks fall at once, and the survivors see it at their next poll.
 */

import { PersistenceError } from "@effect/cluster/ClusterError"
import * as MachineId from "@effect/cluster/MachineId"
import * as Runner from "@effect/cluster/Runner"
import * as RunnerAddress from "@effect/cluster/RunnerAddress"
import * as RunnerStorage from "@effect/cluster/RunnerStorage"
import * as ShardId from "@effect/cluster/ShardId"
import { Clock, Context, Effect, Layer, Schedule } from "effect"
import { FailedPrecondition, Unavailable } from "../domain/Errors.ts"
import { limits } from "../domain/Limits.ts"
import { Metrics } from "../observe/Metrics.ts"
import { schemaName } from "../store/SchemaName.ts"
import { ClusterConfig } from "./ClusterConfig.ts"
import { lockClasses } from "./LockNumbers.ts"
import { type LockSession, makeLockSession } from "./LockSession.ts"
import { type MemberRow, memberOf, memberRows, metadataOf } from "./MemberRow.ts"
import { type Member, Membership } from "./Membership.ts"
import { makeFenceCheck, Ownership } from "./Ownership.ts"
import { makeShardReleases } from "./ShardReleases.ts"

const persistence = <A, R>(effect: Effect.Effect<A, Unavailable, R>) =>
  Effect.mapError(effect, (cause) => new PersistenceError({ cause }))

const make = Effect.gen(function* () {
  const config = yield* ClusterConfig
  const membership = yield* Membership
  const metrics = yield* Metrics
  const locks = lockClasses(config.clusterId)
  const address = `${config.peerAdvertise.host}:${config.peerAdvertise.port}`
  const startedAtMs = yield* Clock.currentTimeMillis

  /** Shards whose lock this session holds, with their epochs. */
  const epochs = new Map<number, number>()
  let machineId: number | undefined
  let lastKnown: ReadonlyArray<Member> = []
  /** What the row of this replica says of it. */
  let published = membership.withdrawn()

  /** Takes the liveness lock and writes this replica's row. Run on each new session: the locks fell with the old one. */
  const enrol = (query: LockSession["query"]) =>
    Effect.gen(function* () {
      // Rows of the dead free their number and address; a member that is only cut off enrols again by itself.
      yield* query(
        `DELETE FROM cluster_runners r WHERE (r.address = $2 OR r.started_at_ms < $3) AND r.name <> $1
           AND pg_try_advisory_xact_lock($4, r.machine_id)`,
        [config.name, address, startedAtMs - limits.nameTakenWaitMs, locks.live],
      )
      const [row] = yield* query<{ machine_id: number }>(
        `INSERT INTO cluster_runners AS r (machine_id, name, incarnation, address, url, version, started_at_ms)
         SELECT (SELECT min(n) FROM generate_series(1, 1023) n
                 WHERE NOT EXISTS (SELECT 1 FROM cluster_runners x WHERE x.machine_id = n)), $1, '', $2, $3, $4, $5
         ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING machine_id`,
        [config.name, address, config.url, config.version, startedAtMs],
      )
      if (row === undefined) return yield* new Unavailable({ message: "the database returned no machine id" })
      const [lock] = yield* query<{ ok: boolean }>("SELECT pg_try_advisory_lock($1, $2) AS ok", [
        locks.live,
        row.machine_id,
      ])
      if (lock?.ok !== true)
        return yield* new Unavailable({ message: `another live replica is called '${config.name}'` })
      const draining = membership.withdrawn()
      yield* query(
        `UPDATE cluster_runners SET incarnation = $2, address = $3, url = $4, version = $5, started_at_ms = $6,
           metadata = $7
         WHERE machine_id = $1`,
        [
          ...[row.machine_id, config.incarnation, address, config.url, config.version, startedAtMs],
          metadataOf(draining),
        ],
      )
      published = draining
      machineId = row.machine_id
    })

  /** After a reconnect: keeps the shards that nobody took in between, forgets the others. */
  const reclaim = (query: LockSession["query"]) =>
    Effect.gen(function* () {
      if (epochs.size === 0) return
      const kept = yield* query<{ shard_id: number; epoch: string }>(
        `WITH mine AS MATERIALIZED (
           SELECT shard_id, epoch FROM cluster_shards
           WHERE owner = $1 AND shard_id = ANY($2::int[]))
         SELECT shard_id, epoch FROM mine WHERE pg_try_advisory_lock($3, shard_id)`,
        [config.incarnation, [...epochs.keys()], locks.shard],
      )
      const held = new Map(kept.map((row) => [row.shard_id, Number(row.epoch)]))
      for (const [shard, epoch] of epochs) if (held.get(shard) !== epoch) epochs.delete(shard)
    })

  const session = yield* makeLockSession({
    url: config.databaseUrl,
    schema: schemaName(config.clusterId),
    applicationName: `holdfast ${config.name} locks`,
    leaseMs: config.leaseMs,
    onSession: (query) => Effect.andThen(enrol(query), reclaim(query)),
  }).pipe(
    Effect.retry({
      schedule: Schedule.spaced(limits.lockKeepaliveMs),
      times: Math.ceil(limits.nameTakenWaitMs / limits.lockKeepaliveMs),
    }),
    Effect.mapError(
      (error) =>
        new FailedPrecondition({
          message: `cannot join cluster '${config.clusterId}' as '${config.name}': ${error.message}`,
        }),
    ),
  )
  const isFenced = () => session.proofAgeMs() > config.fenceMs

  /**
   * Takes what nobody holds. A restart of the database frees all locks at once, also those of a replica that cannot
   * hear of it: until its proof has run out everywhere, the shards of registered replicas stay theirs.
   */
  const acquireOnce = (shards: ReadonlyArray<number>, nowMs: number) =>
    session.query<{ shard_id: number; epoch: string }>(
      `WITH want AS MATERIALIZED (SELECT unnest($1::int[]) AS shard),
            free AS MATERIALIZED (SELECT shard FROM want
              WHERE clock_timestamp() - pg_postmaster_start_time() > $5 * interval '1 millisecond'
                 OR NOT EXISTS (SELECT 1 FROM cluster_shards s JOIN cluster_runners r ON r.incarnation = s.owner
                                WHERE s.shard_id = shard AND s.owner <> $3)),
            got AS MATERIALIZED (SELECT shard FROM free WHERE pg_try_advisory_lock($2, shard))
       INSERT INTO cluster_shards AS s (shard_id, epoch, owner, acquired_at_ms)
       SELECT shard, 1, $3, $4 FROM got ORDER BY shard
       ON CONFLICT (shard_id) DO UPDATE
         SET epoch = s.epoch + 1, owner = excluded.owner, acquired_at_ms = excluded.acquired_at_ms
       RETURNING shard_id, epoch`,
      [shards, locks.shard, config.incarnation, nowMs, config.fenceMs],
    )

  /** Not to be interrupted: a lock that was granted and not noted would never be given back. */
  const take = (shards: ReadonlyArray<number>, nowMs: number) =>
    Effect.map(acquireOnce(shards, nowMs), (taken) => {
      for (const row of taken) epochs.set(row.shard_id, Number(row.epoch))
      metrics.failovers.inc(taken.filter((row) => Number(row.epoch) > 1).length)
      return taken.length
    }).pipe(Effect.uninterruptible)

  /**
   * Waits for the first of them that can be had, not for all: what is taken serves at once, and the sharding loop,
   * which can give nothing away while it waits here, asks again for the rest.
   */
  const acquire = (wanted: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const nowMs = yield* Clock.currentTimeMillis
      const deadlineMs = performance.now() + limits.lockAcquireBudgetMs
      const missing = wanted.filter((shard) => !epochs.has(shard))
      while (missing.length > 0) {
        const taken = yield* take(missing, nowMs)
        if (taken > 0 || performance.now() >= deadlineMs) break
        yield* Effect.sleep(limits.lockAcquireRetryMs)
      }
      return wanted.filter((shard) => epochs.has(shard))
    })

  /** Given back in order, a shard has no owner any more: it may be taken at once, also soon after a restart. */
  const release = makeShardReleases((shards) =>
    session.query(
      `WITH given AS (UPDATE cluster_shards SET owner = '' WHERE owner = $3 AND shard_id = ANY($2::int[]) RETURNING 1),
            done AS MATERIALIZED (SELECT count(*) FROM given)
       SELECT pg_advisory_unlock($1, shard) FROM done, unnest($2::int[]) AS shard`,
      [locks.shard, shards, config.incarnation],
    ),
  )

  const releaseAll = Effect.suspend(() => {
    epochs.clear()
    return session.query(
      `WITH given AS (UPDATE cluster_shards SET owner = '' WHERE owner = $2 RETURNING 1),
            done AS MATERIALIZED (SELECT count(*) FROM given)
       SELECT count(pg_advisory_unlock(classid::int, objid::int)) FROM done, pg_locks
       WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND classid = $1::int::oid AND objsubid = 2`,
      [locks.shard, config.incarnation],
    )
  })

  const poll = Effect.gen(function* () {
    const draining = membership.withdrawn()
    if (draining !== published) {
      yield* session.query("UPDATE cluster_runners SET metadata = $2 WHERE incarnation = $1", [
        config.incarnation,
        metadataOf(draining),
      ])
      published = draining
    }
    const rows = yield* session.query<MemberRow>(memberRows, [locks.live])
    const settling = rows.some((row) => Number(row.postmaster_age_ms) < limits.databaseRestartGraceMs)
    const wasLive = new Set(lastKnown.filter((m) => m.live).map((m) => m.incarnation))
    lastKnown = rows.map((row) => memberOf(row, settling && wasLive.has(row.incarnation)))
    yield* membership.update(lastKnown)
    return lastKnown
  })

  const storage = RunnerStorage.RunnerStorage.of({
    register: () =>
      Effect.suspend(() =>
        machineId === undefined
          ? Effect.fail(new PersistenceError({ cause: "the liveness lock is not held" }))
          : Effect.succeed(MachineId.make(machineId)),
      ),
    unregister: () =>
      persistence(
        session
          .query("SELECT pg_advisory_unlock($1, $2)", [locks.live, machineId ?? 0])
          .pipe(
            Effect.zipRight(
              session.query("DELETE FROM cluster_runners WHERE incarnation = $1", [config.incarnation]),
            ),
            Effect.asVoid,
          ),
      ),
    getRunners: persistence(
      Effect.map(poll, (members) => {
        const live = members.filter((member) => member.live)
        // The shards of an unhealthy runner go to the others while it still serves; they need somewhere to go.
        const nowhere = live.every((member) => member.draining)
        return live.map(
          (member) =>
            [
              Runner.make({
                address: RunnerAddress.make(member.host, member.port),
                groups: ["default"],
                weight: 1,
              }),
              nowhere || !member.draining,
            ] as const,
        )
      }),
    ),
    // Health is the liveness lock itself.
    setRunnerHealth: () => Effect.void,
    acquire: (_, shards) =>
      persistence(
        Effect.map(acquire(Array.from(shards, (shard) => shard.id)), (ids) =>
          ids.map((id) => ShardId.make("default", id)),
        ),
      ),
    refresh: (_, shards) =>
      Effect.suspend(() => {
        if (isFenced())
          return Effect.fail(
            new PersistenceError({
              cause: `no proof of the locks for ${Math.round(session.proofAgeMs())} ms`,
            }),
          )
        return Effect.succeed(Array.from(shards).filter((shard) => epochs.has(shard.id)))
      }),
    release: (_, shard) =>
      persistence(
        Effect.suspend(() => {
          return epochs.delete(shard.id) ? release(shard.id) : Effect.void
        }),
      ),
    releaseAll: () => persistence(Effect.asVoid(releaseAll)),
  })

  const ownership = Ownership.of({
    fence: makeFenceCheck(epochs, () => isFenced() || session.inDoubt()),
    held: Effect.sync(() => new Map(epochs)),
    proofAgeMs: session.proofAgeMs,
  })
  return Context.make(RunnerStorage.RunnerStorage, storage).pipe(Context.add(Ownership, ownership))
})

export const layer: Layer.Layer<
  RunnerStorage.RunnerStorage | Ownership,
  FailedPrecondition,
  ClusterConfig | Membership | Metrics
> = Layer.scopedContext(make)
