/**
 * What other replicas wrote. On Postgres one connection per process listens and comes back by itself; subscribers
 * cost no statements. On SQLite there is only this process.
 */
import { Context, Deferred, Effect, Either, Layer, Schedule, Schema, type Scope, Stream } from "effect"
import pg from "pg"
import { limits } from "../domain/Limits.ts"
import { Payload } from "./Announce.ts"
import { type Change, ChangeBus, type ChangeKind, type Subscription } from "./ChangeBus.ts"
import { Database } from "./Database.ts"
import { connectionConfig, hangUp } from "./Postgres.ts"
import { schemaName } from "./SchemaName.ts"
import { outageReason } from "./SqlErrors.ts"

export type { Change, ChangeKind, Subscription } from "./ChangeBus.ts"

export class Changes extends Context.Tag("holdfast/Changes")<
  Changes,
  {
    /** Changes of one sandbox, from the moment this returns until the scope closes. Subscribe first, then read. */
    readonly subscribe: (sandboxId: string) => Effect.Effect<Subscription, never, Scope.Scope>
    /** Changes of all sandboxes, from the moment the stream runs. */
    readonly all: Stream.Stream<Change>
    /** The same of those kinds only, with resyncs: what else happens does not fill the subscriber's flags. */
    readonly of: (...kinds: ReadonlyArray<ChangeKind>) => Stream.Stream<Change>
  }
>() {}

const serviceOn = (bus: ChangeBus): Context.Tag.Service<Changes> => ({
  subscribe: (sandboxId) => bus.subscribe(sandboxId),
  all: Stream.unwrapScoped(Effect.map(bus.subscribeAll(), ({ stream }) => stream)),
  of: (...kinds) => Stream.unwrapScoped(Effect.map(bus.subscribeAll(new Set(kinds)), ({ stream }) => stream)),
})

const decodePayload = Schema.decodeUnknownEither(Payload)

const receive = (bus: ChangeBus, payload: string | undefined): void => {
  const decoded = decodePayload(payload ?? "")
  // Another build's payload: something changed, what is unknown.
  if (Either.isLeft(decoded)) bus.publish({ kind: "resync" })
  else bus.publish({ kind: decoded.right.k, sandboxId: decoded.right.id })
}

const reasonOf = (error: unknown) =>
  outageReason(error) ?? (error instanceof Error ? error.message : String(error))

/** Listens until the connection ends, and fails with the reason. */
const listen = (
  settings: pg.ClientConfig,
  channel: string,
  bus: ChangeBus,
  listening: Effect.Effect<unknown>,
): Effect.Effect<never, string> =>
  Effect.scoped(
    Effect.gen(function* () {
      const ended = yield* Deferred.make<never, string>()
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new pg.Client({ ...settings, query_timeout: limits.databaseCallMs })),
        (open) => Effect.sync(() => hangUp(open)),
      )
      client.on("error", (error) => Deferred.unsafeDone(ended, Effect.fail(reasonOf(error))))
      client.on("end", () => Deferred.unsafeDone(ended, Effect.fail("connection closed")))
      client.on("notification", ({ payload }) => receive(bus, payload))
      yield* Effect.tryPromise({
        try: async () => {
          await client.connect()
          await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
        },
        catch: reasonOf,
      })
      // Whatever was written while nobody listened is unknown.
      bus.publish({ kind: "resync" })
      yield* listening
      return yield* Deferred.await(ended)
    }),
  )

const patience = Schedule.exponential("50 millis").pipe(
  Schedule.union(Schedule.spaced(limits.databaseRetryMaxMs)),
  Schedule.jittered,
  Schedule.resetAfter(limits.databaseRetryMaxMs),
)

const onPostgres = (database: Context.Tag.Service<Database>) =>
  Effect.gen(function* () {
    const bus = new ChangeBus()
    const settings = connectionConfig(
      { ...database, applicationName: `${database.applicationName} changes` },
      limits.databaseStatementMs,
    )
    const first = yield* Deferred.make<void>()
    yield* listen(
      settings,
      schemaName(database.clusterId),
      bus,
      Effect.zipRight(Effect.logDebug("Listening for changes"), Deferred.succeed(first, undefined)),
    ).pipe(
      Effect.tapError((reason) => Effect.logWarning(`Not listening for changes, trying again: ${reason}`)),
      Effect.retry(patience),
      Effect.forkScoped,
    )
    // Not listening yet is no fault: subscribers get a resync when it begins.
    yield* Effect.timeoutOption(Deferred.await(first), limits.databaseConnectMs)
    return serviceOn(bus)
  })

export const layer: Layer.Layer<Changes, never, Database> = Layer.scoped(
  Changes,
  Effect.flatMap(Database, (database) =>
    database.dialect === "sqlite" ? Effect.succeed(serviceOn(database.bus)) : onPostgres(database),
  ),
)
