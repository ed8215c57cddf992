/** Asks every replica, past every balancer, who owns the sandboxes and who holds their sessions. */
import { Clock, Effect, Schedule, type Scope } from "effect"
import { limits } from "../../domain/Limits.ts"
import { Ownership } from "../check/Ownership.ts"
import type { Place } from "../load/LoadStream.ts"
import type { Site, SiteReplica } from "../sites/Site.ts"
import { directClients } from "./Replicas.ts"

export interface Owners {
  readonly ownership: Ownership
  /** How often a session was seen at another replica than before, all sandboxes together. */
  readonly moves: () => number
}

export const start = (site: Site, places: ReadonlyArray<Place>): Effect.Effect<Owners, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clients = yield* directClients(site, limits.drillOwnersTimeoutMs)
    const ownership = new Ownership()
    const waiting = new Map<string, number>()
    const holders = new Map<string, { readonly holder: string; readonly attachedAtMs: number }>()
    let moves = 0

    const note = (sandboxId: string, holder: string, attachedAtMs: number): void => {
      const known = holders.get(sandboxId)
      // Late answers of a slow replica are older than what is known.
      if (holder === "" || (known !== undefined && known.attachedAtMs >= attachedAtMs)) return
      if (known !== undefined && known.holder !== holder) moves += 1
      holders.set(sandboxId, { holder, attachedAtMs })
    }
    const ask = (replica: SiteReplica, place: Place): Effect.Effect<void> =>
      Effect.gen(function* () {
        const client = yield* clients.of(replica)
        const askedAtMs = yield* Clock.currentTimeMillis
        const answer = yield* client.locateSandbox(place.sandbox.id)
        const { shard, owner, sessionHolder } = answer
        const answeredAtMs = yield* Clock.currentTimeMillis
        ownership.add({ ...{ askedAtMs, answeredAtMs, shard, owner }, epoch: Number(answer.epoch) })
        note(place.sandbox.id, sessionHolder, Number(answer.attachedAtMs))
      }).pipe(
        // What a replica cannot answer is no contradiction; the load and the probes count what is not reachable.
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => waiting.set(replica.name, (waiting.get(replica.name) ?? 1) - 1))),
      )
    let turn = 0
    const round = Effect.gen(function* () {
      for (const replica of yield* site.replicas) {
        for (let index = 0; index < Math.min(places.length, placesPerRound); index++) {
          const place = places[(turn + index) % places.length]
          const unanswered = waiting.get(replica.name) ?? 0
          if (place === undefined || unanswered >= limits.drillOwnersAtOnce) continue
          waiting.set(replica.name, unanswered + 1)
          yield* Effect.forkIn(ask(replica, place), scope)
        }
      }
      turn += placesPerRound
    })
    yield* round.pipe(Effect.ignore, Effect.repeat(Schedule.spaced(limits.drillOwnersMs)), Effect.forkScoped)
    return { ownership, moves: () => moves }
  })

const placesPerRound = 4
