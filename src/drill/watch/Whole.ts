/** When a cluster is whole again, and how even. */
import { Effect, Schedule } from "effect"
import type { GatewayClientService } from "../../client/GatewayClient.ts"
import { DrillError, failed } from "../DrillError.ts"
import type { Place } from "../load/LoadStream.ts"
import { relativeSkew } from "../score/Figures.ts"
import type { IdleSessions, Site } from "../sites/Site.ts"
import type { Prober } from "./Prober.ts"
import type { DirectClients } from "./Replicas.ts"

export interface Location {
  readonly place: Place
  readonly owner: string
  /** Empty while there is no session. */
  readonly holder: string
}

export const locate = (
  client: GatewayClientService,
  places: ReadonlyArray<Place>,
): Effect.Effect<ReadonlyArray<Location>, DrillError> =>
  Effect.forEach(
    places,
    (place) =>
      Effect.map(client.locateSandbox(place.sandbox.id), ({ owner, sessionHolder }) => ({
        ...{ place, owner },
        holder: sessionHolder,
      })),
    { concurrency: 8 },
  ).pipe(Effect.mapError(failed("cannot locate the sandboxes")))

export interface WholeOptions {
  readonly site: Site
  readonly clients: DirectClients
  readonly prober: Prober
  readonly places: ReadonlyArray<Place>
  readonly idle: IdleSessions | undefined
  /** Replicas that must be live and work; nobody else may hold a session. */
  readonly names: ReadonlyArray<string>
}

/** A client of the first of these replicas that runs. */
export const clientOf = (
  site: Site,
  clients: DirectClients,
  names: ReadonlyArray<string>,
): Effect.Effect<GatewayClientService, DrillError> =>
  Effect.gen(function* () {
    const replica = (yield* site.replicas).find(({ name }) => names.includes(name))
    if (replica === undefined) return yield* new DrillError({ message: `none of ${names.join(", ")} runs` })
    return yield* clients.of(replica)
  })

/** One look. Fails with what is missing. */
const look = (options: WholeOptions): Effect.Effect<void, DrillError> =>
  Effect.gen(function* () {
    const { site, clients, prober, places, idle, names } = options
    const missing = (what: string) => new DrillError({ message: what })
    const client = yield* clientOf(site, clients, names)
    const status = yield* Effect.mapError(client.clusterStatus, failed("no cluster status"))
    for (const name of names) {
      const replica = status.replicas.find((candidate) => candidate.name === name && candidate.live)
      if (replica === undefined || replica.draining || replica.shards === 0) {
        return yield* missing(`${name} is not ready`)
      }
    }
    const locations = yield* locate(client, places)
    const lost = locations.filter(({ holder }) => !names.includes(holder))
    if (lost.length > 0) return yield* missing(`${lost.length} sandboxes have no session`)
    // As the replicas say: a fleet that has lost thousands of sessions is late to tell.
    const held = status.replicas
      .filter(({ live, name }) => live && names.includes(name))
      .reduce((sum, { sessions }) => sum + sessions, 0)
    const lacking = idle === undefined ? 0 : idle.count + places.length - held
    if (lacking > 0) return yield* missing(`${lacking} sessions are not back`)
    const replicas = (yield* site.replicas).filter(({ name }) => names.includes(name))
    if (replicas.length < names.length) return yield* missing("replicas do not run")
    yield* Effect.forEach(
      replicas,
      (replica, index) => {
        const place = places[index % places.length]
        if (place === undefined) return Effect.void
        return prober.open(replica, place).pipe(
          Effect.asVoid,
          Effect.mapError(({ text }) => missing(`no open through ${replica.name}: ${text}`)),
        )
      },
      { concurrency: "unbounded", discard: true },
    )
  })

/** Waits; how long it took, in ms. Fails with what was still missing when that time was over. */
export const untilWhole = (options: WholeOptions, withinMs: number): Effect.Effect<number, DrillError> =>
  Effect.suspend(() => {
    const startedAtMs = performance.now()
    return look(options).pipe(
      Effect.retry(Schedule.spaced(50).pipe(Schedule.upTo(withinMs))),
      Effect.map(() => performance.now() - startedAtMs),
    )
  })

/** Sessions of the fullest replica over the mean of all, and that over the best that so many sessions allow. */
export const skewNow = (client: GatewayClientService): Effect.Effect<number, DrillError> =>
  client.clusterStatus.pipe(
    Effect.map(({ replicas }) =>
      relativeSkew(
        replicas.filter(({ live, draining }) => live && !draining).map(({ sessions }) => sessions),
      ),
    ),
    Effect.mapError(failed("no cluster status")),
  )
