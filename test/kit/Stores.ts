/** Stores on both dialects for tests: each test gets tables of its own. */
import { randomBytes, randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { SqlClient } from "@effect/sql"
import { Effect, Layer, Logger, Option, Redacted, Schedule } from "effect"
import { afterAll, beforeAll } from "vitest"
import type { LogLine, PlatformEvent, Presence, Sandbox } from "../../src/domain/Sandbox.ts"
import type { DatabaseConfig, Dialect } from "../../src/store/Database.ts"
import type { SandboxQuery } from "../../src/store/Sandboxes.ts"
import * as Store from "../../src/store/Store.ts"
import { freshClusterId, startPostgres, type TestPostgres } from "./Postgres.ts"

export const dialects: ReadonlyArray<Dialect> = ["postgres", "sqlite"]

export interface StoreKit {
  /** Settings of a database with no tables yet. */
  readonly fresh: () => DatabaseConfig
  /** Runs with a store on a fresh database. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, Store.Store>) => Promise<A>
  readonly postgres: () => TestPostgres
}

/** Logs of the code under test would drown the report. */
export const quiet = Logger.remove(Logger.defaultLogger)

export const storeKit = (dialect: Dialect): StoreKit => {
  let postgres: TestPostgres | undefined
  let directory = ""
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-test-store-"))
    if (dialect === "postgres") postgres = await startPostgres()
  }, 60_000)
  afterAll(async () => {
    await postgres?.dispose()
    rmSync(directory, { recursive: true, force: true })
  }, 60_000)
  const started = () => {
    if (postgres === undefined) throw new Error("this kit has no Postgres")
    return postgres
  }
  const fresh = (): DatabaseConfig => {
    const url =
      dialect === "postgres"
        ? started().url
        : `sqlite:${join(directory, `${randomBytes(6).toString("hex")}.db`)}`
    return { url: Redacted.make(url), clusterId: freshClusterId(), applicationName: "holdfast test" }
  }
  return {
    fresh,
    run: (effect) => runWith(fresh(), effect),
    postgres: started,
  }
}

/** Runs with a store on this database. */
export const runWith = <A, E>(config: DatabaseConfig, effect: Effect.Effect<A, E, Store.Store>): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, Layer.provideMerge(Store.layer(config), quiet)))

/** Waits until the condition holds, at most `withinMs`. */
export const eventually = <E, R>(
  what: string,
  condition: Effect.Effect<boolean, E, R>,
  withinMs = 10_000,
): Effect.Effect<void, E | Error, R> =>
  condition.pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced(20) }),
    Effect.timeoutFail({
      duration: withinMs,
      onTimeout: () => new Error(`not within ${withinMs} ms: ${what}`),
    }),
    Effect.asVoid,
  )

/** Makes this store's cluster the owner of shard 1, and returns the proof. */
export const owned = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`INSERT INTO cluster_shards ${sql.insert({ shard_id: 1, epoch: 4, owner: "t", acquired_at_ms: 0 })}`
  return { shard: 1, epoch: 4 }
})

/** The query that finds every sandbox. */
export const everySandbox: SandboxQuery = {
  workspace: Option.none(),
  selector: [],
  limit: 1_000,
  offset: 0,
}

export const aSandbox = (changes: Partial<Sandbox> = {}): Sandbox => ({
  id: randomUUID(),
  workspace: "default",
  name: `s-${randomBytes(5).toString("hex")}`,
  createdAtMs: 1_700_000_000_000,
  deletionTimestampMs: 0,
  labels: {},
  annotations: {},
  resourceVersion: 0,
  spec: { logLevel: "info", environment: {}, providers: [], command: ["sleep", "1"], tty: false },
  status: {
    phase: "Provisioning",
    conditions: [],
    agentPod: "",
    currentPolicyVersion: 0,
    mainProcessInstanceId: "",
  },
  ...changes,
})

export const aPresence = (sandboxId: string, changes: Partial<Presence> = {}): Presence => ({
  sandboxId,
  sessionId: randomUUID(),
  instanceId: randomUUID(),
  instanceStartedAtMs: 1,
  connectionEpoch: 1,
  replica: "a/1",
  attachedAtMs: 2,
  retiredInstances: [],
  ...changes,
})

export const aLine = (sandboxId: string, changes: Partial<LogLine> = {}): LogLine => ({
  sandboxId,
  timestampMs: 1,
  level: "INFO",
  target: "test",
  message: "hello",
  source: "sandbox",
  fields: {},
  ...changes,
})

export const anEvent = (changes: Partial<PlatformEvent> = {}): PlatformEvent => ({
  timestampMs: 1,
  source: "gateway",
  type: "Normal",
  reason: "Created",
  message: "made",
  metadata: {},
  ...changes,
})
