import { Runner, RunnerAddress, RunnerStorage, ShardId } from "@effect/cluster"
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { ClusterConfig, type ClusterSettings } from "../../src/cluster/ClusterConfig.ts"
import { Membership } from "../../src/cluster/Membership.ts"
import { Ownership } from "../../src/cluster/Ownership.ts"
import * as PgRunnerStorage from "../../src/cluster/PgRunnerStorage.ts"
import { Metrics } from "../../src/observe/Metrics.ts"
import * as Database from "../../src/store/Database.ts"
import { migrate } from "../../src/store/Migrations.ts"
import { type BlackHole, openBlackHole } from "../kit/BlackHole.ts"
import { freshClusterId, startPostgres, type TestPostgres } from "../kit/Postgres.ts"

let postgres: TestPostgres
beforeAll(async () => {
  postgres = await startPostgres()
}, 60_000)
afterAll(() => postgres.dispose(), 60_000)

const shards = Array.from({ length: 20 }, (_, index) => ShardId.make("default", index + 1))
let nextPort = 9_000

type Services = RunnerStorage.RunnerStorage | Ownership | Membership

/** One member of a cluster, as far as its storage goes. */
class Replica {
  readonly scope: Scope.CloseableScope
  readonly context: Context.Context<Services>
  readonly settings: ClusterSettings
  constructor(scope: Scope.CloseableScope, context: Context.Context<Services>, settings: ClusterSettings) {
    this.scope = scope
    this.context = context
    this.settings = settings
  }
  get storage() {
    return Context.get(this.context, RunnerStorage.RunnerStorage)
  }
  get ownership() {
    return Context.get(this.context, Ownership)
  }
  get address() {
    return RunnerAddress.make(this.settings.peerAdvertise.host, this.settings.peerAdvertise.port)
  }
  readonly acquire = (wanted = shards) => Effect.runPromise(this.storage.acquire(this.address, wanted))
  /** As if the process died: the session ends, nothing is released in order. */
  readonly die = () => Effect.runPromise(Scope.close(this.scope, Exit.void))
  readonly epochOf = (shard: number) =>
    Effect.runPromise(Effect.map(this.ownership.fence(shard), (fence) => fence.epoch))
}

const settingsOf = (clusterId: string, name: string, incarnation: string): ClusterSettings => {
  const address = { host: "127.0.0.1", port: nextPort++ }
  return {
    clusterId,
    name,
    incarnation: `${name}/${incarnation}`,
    version: "test",
    databaseUrl: Redacted.make(postgres.url),
    peerListen: address,
    peerAdvertise: address,
    url: "http://127.0.0.1:1",
    peerTls: { ca: "", cert: "", key: "" },
    leaseMs: 3_000,
    fenceMs: 1_500,
  }
}

const join = async (settings: ClusterSettings): Promise<Replica> => {
  const scope = await Effect.runPromise(Scope.make())
  const layer = PgRunnerStorage.layer.pipe(
    Layer.provideMerge(Membership.layer),
    Layer.provideMerge(ClusterConfig.layer(settings)),
    Layer.provideMerge(Metrics.layer),
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const replica = new Replica(scope, context, settings)
  await Effect.runPromise(
    replica.storage.register(Runner.make({ address: replica.address, groups: ["default"], weight: 1 }), true),
  )
  return replica
}

/** A member whose way to the database can be cut. */
const joinThrough = async (hole: BlackHole, clusterId: string, times: Partial<ClusterSettings> = {}) => {
  const url = new URL(postgres.url)
  url.port = String(hole.port)
  return join({ ...settingsOf(clusterId, "cut", "1"), databaseUrl: Redacted.make(url.href), ...times })
}

const acts = (replica: Replica): Promise<boolean> =>
  replica.epochOf(1).then(
    () => true,
    () => false,
  )

const freshCluster = async (url = postgres.url): Promise<string> => {
  const clusterId = freshClusterId()
  await Effect.runPromise(
    migrate.pipe(
      Effect.provide(Database.layer({ url: Redacted.make(url), clusterId, applicationName: "test" })),
      Effect.scoped,
    ),
  )
  return clusterId
}

const until = async (what: string, condition: () => Promise<boolean>, timeoutMs = 10_000) => {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

const liveNames = async (replica: Replica) =>
  (await Effect.runPromise(replica.storage.getRunners)).filter(([, healthy]) => healthy).length

describe("runner storage on advisory locks", () => {
  it("gives a shard to one replica only, and its epoch grows with each new owner", async () => {
    const clusterId = await freshCluster()
    const first = await join(settingsOf(clusterId, "a", "1"))
    const second = await join(settingsOf(clusterId, "b", "1"))
    expect(await first.acquire()).toHaveLength(20)
    expect(await second.acquire()).toHaveLength(0)
    expect(await first.epochOf(1)).toBe(1)
    await first.die()
    await until("the survivor has all shards", async () => (await second.acquire()).length === 20)
    expect(await second.epochOf(1)).toBe(2)
    await second.die()
  })

  it("sees a dead replica leave as soon as its session ends", async () => {
    const clusterId = await freshCluster()
    const first = await join(settingsOf(clusterId, "a", "1"))
    const second = await join(settingsOf(clusterId, "b", "1"))
    await until("both are seen", async () => (await liveNames(first)) === 2)
    await second.die()
    await until("one is seen", async () => (await liveNames(first)) === 1, 2_000)
    await first.die()
  })

  it("releases a shard so that another takes it at once", async () => {
    const clusterId = await freshCluster()
    const first = await join(settingsOf(clusterId, "a", "1"))
    const second = await join(settingsOf(clusterId, "b", "1"))
    const [shard] = shards
    if (shard === undefined) throw new Error("no shard")
    await first.acquire()
    await Effect.runPromise(first.storage.release(first.address, shard))
    expect(await second.acquire([shard])).toHaveLength(1)
    await expect(first.epochOf(1)).rejects.toThrow()
    await first.die()
    await second.die()
  })

  it("lets a shard that was given back be taken at once, also just after a start of the database", async () => {
    const fresh = await startPostgres()
    try {
      const settings = (name: string) => ({
        ...settingsOf(clusterId, name, "1"),
        databaseUrl: Redacted.make(fresh.url),
        fenceMs: 600_000,
      })
      const clusterId = await freshCluster(fresh.url)
      const [first, second] = [await join(settings("a")), await join(settings("b"))]
      expect(await first.acquire()).toHaveLength(20)
      const [shard] = shards
      if (shard === undefined) throw new Error("no shard")
      await Effect.runPromise(first.storage.release(first.address, shard))
      expect(await second.acquire()).toEqual([shard])
      await Effect.runPromise(first.storage.releaseAll(first.address))
      expect(await second.acquire()).toHaveLength(20)
      await first.die()
      await second.die()
    } finally {
      await fresh.dispose()
    }
  })

  it("takes what is free without waiting for what another still holds", async () => {
    const clusterId = await freshCluster()
    const first = await join(settingsOf(clusterId, "a", "1"))
    const second = await join(settingsOf(clusterId, "b", "1"))
    await first.acquire(shards.slice(0, 5))
    expect(await second.acquire()).toHaveLength(15)
    await first.die()
    await until("the rest as well", async () => (await second.acquire()).length === 20)
    await second.die()
  })

  it("refuses a second live replica of the same name", async () => {
    const clusterId = await freshCluster()
    const first = await join(settingsOf(clusterId, "a", "1"))
    await expect(join(settingsOf(clusterId, "a", "2"))).rejects.toThrow(/another live replica is called 'a'/)
    await first.die()
  }, 30_000)

  it("keeps its shards and epochs when its session breaks and comes back before anyone else took them", async () => {
    const clusterId = await freshCluster()
    const replica = await join(settingsOf(clusterId, "a", "1"))
    await replica.acquire()
    await postgres.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast a locks'",
    )
    await until("the session is back", async () => {
      const rows = await postgres.query(
        `SELECT count(*)::int AS n FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
         WHERE l.locktype = 'advisory' AND s.application_name = 'holdfast a locks'`,
      )
      return rows[0]?.n === 21
    })
    expect(await replica.epochOf(1)).toBe(1)
    await replica.die()
  })

  it("stops acting within the fence while the database does not answer, and the shards stay untaken", async () => {
    const clusterId = await freshCluster()
    const replica = await join(settingsOf(clusterId, "a", "1"))
    await replica.acquire()
    postgres.freeze()
    try {
      expect(await replica.epochOf(1)).toBe(1)
      await until("the fence closes", async () => {
        try {
          await replica.epochOf(1)
          return false
        } catch {
          return true
        }
      })
      expect(replica.ownership.proofAgeMs()).toBeGreaterThan(1_500)
    } finally {
      postgres.thaw()
    }
    await until("it may act again", async () => {
      try {
        await replica.acquire()
        await replica.epochOf(1)
        return true
      } catch {
        return false
      }
    })
    await replica.die()
  }, 30_000)

  it("gives nothing away while it may act, however long the database is silent", async () => {
    const clusterId = await freshCluster()
    const hole = await openBlackHole(Number(new URL(postgres.url).port))
    onTestFinished(hole.close)
    const cut = await joinThrough(hole, clusterId, { fenceMs: 4_000, leaseMs: 6_000 })
    const other = await join(settingsOf(clusterId, "other", "1"))
    await cut.acquire()
    hole.swallow()
    hole.mute()
    while (await acts(cut)) expect(await other.acquire([...shards])).toHaveLength(0)
    await until("the lease is over", async () => (await other.acquire()).length === shards.length)
    expect(await acts(cut)).toBe(false)
    await cut.die()
    await other.die()
  }, 30_000)

  it("does not act when its session was ended and others may have its locks", async () => {
    const clusterId = await freshCluster()
    const hole = await openBlackHole(Number(new URL(postgres.url).port))
    onTestFinished(hole.close)
    const cut = await joinThrough(hole, clusterId, { fenceMs: 20_000, leaseMs: 30_000 })
    const other = await join(settingsOf(clusterId, "other", "1"))
    await cut.acquire()
    hole.mute()
    await postgres.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast cut locks'",
    )
    await until("another took them", async () => (await other.acquire()).length === shards.length)
    expect(await acts(cut)).toBe(false)
    expect(await other.epochOf(1)).toBe(2)
    await cut.die()
    await other.die()
  }, 30_000)

  it("acts until its fence while the database takes no sessions, for nobody can take anything then", async () => {
    const clusterId = await freshCluster()
    const hole = await openBlackHole(Number(new URL(postgres.url).port))
    const replica = await joinThrough(hole, clusterId, { fenceMs: 5_000, leaseMs: 8_000 })
    await replica.acquire()
    await hole.close()
    await until("it knows that the database is down", () => acts(replica), 2_000)
    await until("the fence closes", async () => !(await acts(replica)))
    expect(replica.ownership.proofAgeMs()).toBeGreaterThan(4_900)
    await replica.die()
  }, 30_000)

  it("lets five replicas join at the same moment, each with a number of its own", async () => {
    const clusterId = await freshCluster()
    const replicas = await Promise.all(
      ["a", "b", "c", "d", "e"].map((name) => join(settingsOf(clusterId, name, "1"))),
    )
    const rows = await postgres.query(
      `SELECT count(DISTINCT machine_id)::int AS n FROM "holdfast_${clusterId.replaceAll("-", "_")}".cluster_runners`,
    )
    expect(rows[0]?.n).toBe(5)
    await Promise.all(replicas.map((replica) => replica.acquire()))
    const held = await Promise.all(replicas.map((replica) => Effect.runPromise(replica.ownership.held)))
    const all = held.flatMap((map) => [...map.keys()])
    expect(all).toHaveLength(20)
    expect(new Set(all).size).toBe(20)
    await Promise.all(replicas.map((replica) => replica.die()))
  })
})
