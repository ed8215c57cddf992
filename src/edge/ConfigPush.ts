/**
 * Tells the supervisors of this replica that their configuration changed, as soon as any replica has changed it. A
 * change costs no statement here, and a session without changes costs nothing.
 */
import { Clock, Effect, Layer, Stream } from "effect"
import { limits } from "../domain/Limits.ts"
import { Changes } from "../store/Changes.ts"
import { globalScope } from "../store/ConfigRows.ts"
import { Configs } from "../store/Configs.ts"
import { LocalEdge } from "./LocalEdge.ts"

const daemon = Effect.gen(function* () {
  const changes = yield* Changes
  const configs = yield* Configs
  const edge = yield* LocalEdge

  /** Over how long the supervisors here read it, so that they do not all ask at once. */
  const spreadMs = () =>
    Math.min(
      limits.configFetchSpreadMs,
      Math.ceil((edge.sessions.size * 1_000) / limits.configFetchesPerSecond),
    )

  const tell = (scopes: ReadonlySet<string>) =>
    Effect.sync(() => {
      const isGlobal = scopes.has(globalScope)
      const spread = isGlobal ? spreadMs() : 0
      for (const session of edge.sessions.values())
        if (isGlobal || scopes.has(session.sandboxId)) session.configChanged(spread)
    })

  /** The feed was interrupted: whatever changed lately may not have been told. One statement for all sessions. */
  const catchUp = Effect.gen(function* () {
    if (edge.sessions.size === 0) return
    const nowMs = yield* Clock.currentTimeMillis
    const missed = yield* configs.changedSince(nowMs - limits.configMissedMs, limits.changedSandboxes)
    yield* tell(new Set(missed))
  }).pipe(
    // Those who poll find it; the feed that comes back with the database asks again.
    Effect.catchAll((error) =>
      Effect.logWarning("Changes of configuration may go untold until the next poll", error.message),
    ),
  )

  yield* changes.of("config").pipe(
    Stream.chunks,
    Stream.runForEach((batch) => {
      const scopes = new Set<string>()
      let resync = false
      for (const change of batch) {
        if (change.kind === "resync") resync = true
        else scopes.add(change.sandboxId)
      }
      return Effect.zipRight(tell(scopes), resync ? catchUp : Effect.void)
    }),
    Effect.forkScoped,
  )
})

export const layer: Layer.Layer<never, never, Changes | Configs | LocalEdge> = Layer.scopedDiscard(daemon)
